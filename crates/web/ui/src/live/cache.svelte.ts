// Answers of the server, kept while a page shows them and asked for again when an event says that they have changed.

import { untrack } from "svelte";
import { read } from "../api/client";
import { Problem } from "../api/problem";
import type { Event } from "../api/types";

type Watcher = { on: (event: Event) => boolean; again: () => void };
const watchers = new Set<Watcher>();

/** An event came in; `null` when anything may have changed. */
export function stale(event: Event | null): void {
  for (const watcher of watchers) {
    if (event === null || watcher.on(event)) watcher.again();
  }
}

/** At most so often is one thing asked for again. */
const PACE = 250;

export class Query<T> {
  data = $state.raw<T | null>(null);
  problem = $state.raw<Problem | null>(null);
  busy = $state(false);
  #path: string | null = null;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;

  /** Asks for the path, if it is not the one already shown. */
  show(path: string | null): void {
    if (path === this.#path) return;
    const first = this.#path === null || path === null || path.split("?")[0] !== this.#path.split("?")[0];
    this.#path = path;
    if (first) this.data = null;
    this.problem = null;
    clearTimeout(this.#timer);
    void this.#ask();
  }

  /** Asks again soon. */
  again(): void {
    if (this.#path === null) return;
    clearTimeout(this.#timer);
    const wait = Math.max(0, this.#asked + PACE - Date.now());
    this.#timer = setTimeout(() => void this.#ask(), wait);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#path = null;
  }

  async #ask(): Promise<void> {
    const path = this.#path;
    this.#abort?.abort();
    if (path === null) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.#asked = Date.now();
    this.busy = true;
    try {
      this.data = await read<T>(path, abort.signal);
      this.problem = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = error instanceof Problem ? error : new Problem(0, "broken", "Broken", String(error), null, null);
    } finally {
      if (this.#abort === abort) this.busy = false;
    }
  }
}

/** A query that follows a path, and is asked again on events that `on` picks. To be called while a component is set up. */
export function watch<T>(path: () => string | null, on: (event: Event) => boolean = () => false): Query<T> {
  const query = new Query<T>();
  $effect(() => {
    const wanted = path();
    untrack(() => query.show(wanted));
  });
  $effect(() => {
    const watcher: Watcher = { on, again: () => query.again() };
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
      query.close();
    };
  });
  return query;
}
