import type { Event } from "../api/types";

/** What an event says, in a line: its task and the one field that matters most. */
export function gist(event: Event, keys: Map<string, string>): string {
  const task = typeof event["task"] === "string" ? (keys.get(event["task"]) ?? "") : "";
  return [task, said(event)].filter((part) => part !== "").join("  ");
}

const TELLING = ["because", "text", "summary", "warning", "repair", "model", "how", "agent", "tier"];

function said(event: Event): string {
  if (event.kind.startsWith("tool."))
    return `${event["tool"] as string} ${(event["summary"] as string | undefined) ?? ""}`;
  const inside = (name: string, field: string) => (event[name] as Record<string, unknown> | undefined)?.[field];
  const nested =
    inside("outcome", "reason") ??
    inside("decision", "question") ??
    inside("opinion", "text") ??
    inside("plan", "summary") ??
    inside("request", "text") ??
    inside("permission", "because") ??
    inside("violation", "because") ??
    inside("review", "reviewer") ??
    inside("answer", "choice");
  const found = nested ?? TELLING.map((name) => event[name]).find((value) => typeof value === "string" && value !== "");
  return typeof found === "string" ? (found.split("\n")[0] ?? "") : "";
}
