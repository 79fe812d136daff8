// What this page knows of its server: who we are, whether we hear it, what waits for a person.

import { hasToken, keepToken, onRefused, read, write } from "../api/client";
import { Problem } from "../api/problem";
import type { DecisionLine, Event, Meta, Page } from "../api/types";
import { stale } from "./cache.svelte";
import { Stream, type Line } from "./stream";

/** Kinds that change what lists and counters show; the rest is only of interest where a run or its workers are looked at. */
const NEWS =
  "run.*,task.dispatched,task.finished,task.merged,task.held,task.skipped,plan.*,decision.*,budget.*,review.*";
const WORKERS = `${NEWS},task.started,worker.measured,tool.started`;

export type Interest = "news" | "workers" | "everything";
type Entry = "unknown" | "out" | "in";

class Server {
  entry = $state<Entry>("unknown");
  meta = $state<Meta | null>(null);
  line = $state<Line>("closed");
  /** When the server was last heard. */
  heard = $state(Date.now());
  waiting = $state(0);
  trouble = $state<Problem | null>(null);
  /** What the page's clock is ahead of the server's. */
  skew = $state(0);

  #stream: Stream | null = null;
  #interest: Interest = "news";
  #listeners = new Set<(event: Event) => void>();
  #hidden: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;

  /** Signs in with the code in the address, if there is one, and begins to listen. */
  async start(): Promise<void> {
    onRefused(() => this.#leave());
    const code = /^#signin=([^&]+)$/.exec(location.hash)?.[1];
    if (code !== undefined) {
      history.replaceState(history.state, "", location.pathname + location.search);
      try {
        const { token } = await write<{ token: string }>("/sign-in", { code: decodeURIComponent(code) });
        keepToken(token);
      } catch (error) {
        this.trouble = error as Problem;
      }
    }
    if (!hasToken()) return this.#leave();
    await this.#enter();
    document.addEventListener("visibilitychange", () => this.#seen());
    window.addEventListener("online", () => this.#stream?.nudge());
  }

  /** Signs in with a token typed by a person. */
  async use(token: string): Promise<void> {
    this.trouble = null;
    keepToken(token);
    await this.#enter();
  }

  signOut(): void {
    keepToken(null);
    this.#leave();
  }

  has(feature: string): boolean {
    return this.meta?.features.includes(feature) ?? false;
  }

  get mayAct(): boolean {
    return this.meta !== null && this.meta.role !== "viewer";
  }

  get isAdmin(): boolean {
    return this.meta?.role === "admin";
  }

  /** What is to come in on the line from now on. */
  want(interest: Interest): void {
    this.#interest = interest;
    this.#listen();
  }

  /** Hears every event that comes in; returns how to stop. */
  hear(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async countWaiting(): Promise<void> {
    try {
      let cursor: string | null = null;
      let count = 0;
      do {
        const page: Page<DecisionLine> = await read(
          `/decisions?state=open&limit=200${cursor ? `&cursor=${cursor}` : ""}`,
        );
        count += page.items.length;
        cursor = page.next;
      } while (cursor !== null);
      this.waiting = count;
    } catch {
      // The number stays; the line says how the server is.
    }
  }

  async #enter(): Promise<void> {
    try {
      const meta = await read<Meta>("/meta");
      this.meta = meta;
      this.skew = Date.now() - meta.now;
      this.entry = "in";
      this.trouble = null;
      this.#stream ??= new Stream(meta.number, {
        event: (event) => this.#event(event),
        line: (line) => this.#said(line),
        ready: () => void this.countWaiting(),
      });
      this.#listen();
    } catch (error) {
      const problem = error as Problem;
      this.trouble = problem;
      if (problem.status === 401) return;
      // The server may only be restarting: keep the token and ask again.
      setTimeout(() => void this.#enter(), 2000);
    }
  }

  #leave(): void {
    this.#stream?.close();
    this.#stream = null;
    this.meta = null;
    this.entry = "out";
  }

  #listen(): void {
    this.#stream?.open({ news: NEWS, workers: WORKERS, everything: null }[this.#interest]);
  }

  #event(event: Event): void {
    this.heard = Date.now();
    if (event.kind.startsWith("decision.")) void this.countWaiting();
    stale(event);
    for (const listener of this.#listeners) listener(event);
  }

  #said(line: Line): void {
    const before = this.line;
    this.line = line;
    if (line === "live") {
      this.heard = Date.now();
      // What was missed while the line was down came in before; what has no events may have changed too.
      if (before !== "live") stale(null);
    }
  }

  /** A browser opens six lines to one server: tabs that nobody sees give theirs back, and only count what waits. */
  #seen(): void {
    clearTimeout(this.#hidden);
    clearInterval(this.#poll);
    if (document.hidden) {
      this.#hidden = setTimeout(() => {
        this.#stream?.close();
        this.#poll = setInterval(() => void this.countWaiting(), 60_000);
      }, 60_000);
    } else this.#listen();
  }
}

export const server = new Server();
