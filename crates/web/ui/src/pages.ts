// What pages there are, in the order of the menu, and which one an address names.

import type { Component } from "svelte";
import type { Interest } from "./live/server.svelte";
import Audit from "./pages/Audit.svelte";
import Costs from "./pages/Costs.svelte";
import Decisions from "./pages/Decisions.svelte";
import Gateway from "./pages/Gateway.svelte";
import Home from "./pages/Home.svelte";
import Nowhere from "./pages/Nowhere.svelte";
import Policies from "./pages/Policies.svelte";
import Run from "./pages/Run.svelte";
import Runs from "./pages/Runs.svelte";
import System from "./pages/System.svelte";
import Workers from "./pages/Workers.svelte";

export type Place = {
  path: string;
  label: string;
  key: string;
  page: Component;
  interest: Interest;
  feature?: string;
  admin?: boolean;
};

export const PLACES: Place[] = [
  { path: "/", label: "Home", key: "h", page: Home, interest: "workers" },
  { path: "/runs", label: "Runs", key: "r", page: Runs, interest: "news" },
  { path: "/decisions", label: "Decisions", key: "d", page: Decisions, interest: "news" },
  { path: "/workers", label: "Workers", key: "w", page: Workers, interest: "workers" },
  { path: "/gateway", label: "Gateway", key: "g", page: Gateway, interest: "news" },
  { path: "/costs", label: "Costs", key: "c", page: Costs, interest: "news" },
  { path: "/policies", label: "Policies", key: "p", page: Policies, interest: "news" },
  { path: "/audit", label: "Audit", key: "a", page: Audit, interest: "news", feature: "audit", admin: true },
  { path: "/system", label: "System", key: "s", page: System, interest: "news" },
];

export type Found = { page: Component<{ id?: string }>; interest: Interest; place: string; id?: string };

export function find(path: string): Found {
  const run = /^\/runs\/([^/]+)$/.exec(path)?.[1];
  if (run !== undefined) return { page: Run, interest: "everything", place: "/runs", id: run };
  const place = PLACES.find((place) => place.path === path);
  if (place) return { page: place.page as Component<{ id?: string }>, interest: place.interest, place: place.path };
  return { page: Nowhere as Component<{ id?: string }>, interest: "news", place: "" };
}
