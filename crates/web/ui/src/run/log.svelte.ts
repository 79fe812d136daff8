// A run's log as a list of any length: pages of it are read when they are looked at, and forgotten when there are many.

import { query, read } from "../api/client";
import { Problem } from "../api/problem";
import type { Event, Page } from "../api/types";

const PAGE = 500;
/** Pages kept: 20,000 events, some ten megabytes. */
const MOST = 40;
/** With a filter, places in the list are not places in the log, so it is read from the beginning, at most so far. */
const MOST_FILTERED = 50_000;

export class Log {
  total = $state(0);
  busy = $state(false);
  problem = $state.raw<Problem | null>(null);
  /** Counts up when what a place holds may have changed. */
  version = $state(0);

  #run: string;
  #kinds = "";
  #task = "";
  #pages = new Map<number, Event[]>();
  #loading = new Set<number>();
  #fitting: Event[] = [];
  #abort = new AbortController();
  #length = 0;
  #frame = 0;

  constructor(run: string) {
    this.#run = run;
  }

  filter(kinds: string, task: string): void {
    if (kinds === this.#kinds && task === this.#task) return;
    [this.#kinds, this.#task] = [kinds, task];
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#fitting = [];
    this.problem = null;
    if (this.#filtered) {
      this.total = 0;
      void this.#readFitting();
    } else this.total = this.#length;
    this.version += 1;
  }

  /** The log has at least so many events. */
  grow(length: number): void {
    if (length <= this.#length) return;
    this.#length = length;
    if (!this.#filtered) this.total = length;
  }

  /** An event came in. */
  take(event: Event): void {
    if (this.#filtered) {
      if (!this.busy && this.#fits(event) && event.seq > (this.#fitting.at(-1)?.seq ?? 0)) this.#fitting.push(event);
    } else {
      const page = this.#pages.get(Math.floor((event.seq - 1) / PAGE));
      if (page && page.length === (event.seq - 1) % PAGE) page.push(event);
    }
    this.#length = Math.max(this.#length, event.seq);
    // However fast events come, the list is drawn once a frame.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.total = this.#filtered ? this.#fitting.length : this.#length;
      this.version += 1;
    });
  }

  at(index: number): Event | null {
    if (this.#filtered) return this.#fitting[index] ?? null;
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;
  }

  /** These places are looked at. */
  want(from: number, to: number): void {
    if (this.#filtered || to <= from) return;
    for (let page = Math.floor(from / PAGE); page <= Math.floor((to - 1) / PAGE); page += 1)
      void this.#read(page, Math.min(to, (page + 1) * PAGE));
  }

  get #filtered(): boolean {
    return this.#kinds !== "" || this.#task !== "";
  }

  #fits(event: Event): boolean {
    const kind = this.#kinds === "" || event.kind.startsWith(this.#kinds.slice(0, -1));
    // Which task a review or a decision is about, only the server knows: those come with the next look.
    return kind && this.#task === "";
  }

  async #read(page: number, to: number): Promise<void> {
    const known = this.#pages.get(page);
    if (this.#loading.has(page) || (known && page * PAGE + known.length >= to)) return;
    this.#loading.add(page);
    try {
      const path = query(`/runs/${this.#run}/events`, { after: page * PAGE, limit: PAGE });
      const { items } = await read<Page<Event>>(path, this.#abort.signal);
      this.#pages.delete(page);
      this.#pages.set(page, [...items]);
      for (const old of this.#pages.keys()) {
        if (this.#pages.size <= MOST) break;
        this.#pages.delete(old);
      }
      this.version += 1;
    } catch (error) {
      if (error instanceof Problem) this.problem = error;
    } finally {
      this.#loading.delete(page);
    }
  }

  async #readFitting(): Promise<void> {
    const signal = this.#abort.signal;
    this.busy = true;
    try {
      let after: string | null = "0";
      while (after !== null && this.#fitting.length < MOST_FILTERED) {
        const path: string = query(`/runs/${this.#run}/events`, {
          after,
          limit: 2000,
          kinds: this.#kinds,
          task: this.#task,
        });
        const page: Page<Event> = await read(path, signal);
        if (signal.aborted) return;
        this.#fitting.push(...page.items);
        this.total = this.#fitting.length;
        this.version += 1;
        after = page.next;
      }
    } catch (error) {
      if (!signal.aborted && error instanceof Problem) this.problem = error;
    } finally {
      if (!signal.aborted) this.busy = false;
    }
  }
}
