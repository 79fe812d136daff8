// Everything that goes to the server goes through here: the token, problems, ETags.

import { Problem } from "./problem";

const KEPT = "maestria.token";
const ROOT = "/api/v1";

let token: string | null = sessionStorage.getItem(KEPT);
let refused: () => void = () => {};

export const hasToken = (): boolean => token !== null;

export function keepToken(fresh: string | null): void {
  token = fresh;
  if (fresh === null) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, fresh);
}

/** Who is told when the server no longer knows the token. */
export function onRefused(told: () => void): void {
  refused = told;
}

export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(ROOT + path, { ...init, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw Problem.offline();
  }
  if (response.ok || response.status === 304) return response;
  const problem = await Problem.of(response);
  if (problem.status === 401 && problem.code !== "bad-code") {
    keepToken(null);
    refused();
  }
  throw problem;
}

type Kept = { tag: string; body: unknown };
const kept = new Map<string, Kept>();
const MOST_KEPT = 60;

/** Reads JSON. What has not changed since is not sent again. */
export async function read<T>(path: string, signal?: AbortSignal): Promise<T> {
  const known = kept.get(path);
  const headers: Record<string, string> = known ? { "if-none-match": known.tag } : {};
  const response = await send(path, { headers, ...(signal ? { signal } : {}) });
  if (response.status === 304 && known) return known.body as T;
  const body = (await response.json()) as T;
  const tag = response.headers.get("etag");
  kept.delete(path);
  if (tag) kept.set(path, { tag, body });
  const oldest = kept.keys().next();
  if (kept.size > MOST_KEPT && !oldest.done) kept.delete(oldest.value);
  return body;
}

export async function readText(path: string, accept: string, signal?: AbortSignal): Promise<string> {
  const response = await send(path, { headers: { accept }, ...(signal ? { signal } : {}) });
  return response.text();
}

/** Writes. Each call has a key of its own, so that a repeat by the network is no repeat of the deed. */
export async function write<T>(path: string, body: unknown): Promise<T> {
  const response = await send(path, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

export function query(path: string, parameters: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}
