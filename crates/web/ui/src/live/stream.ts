// The one line to the server that events come in on. It is kept open, taken up again where it broke, and says how it is.

import { send } from "../api/client";
import { Problem } from "../api/problem";
import type { Event } from "../api/types";
import { parser } from "./sse";

export type Line = "closed" | "connecting" | "live" | "broken";

/** Nothing heard for so long: the line is dead (the server sends something at least every 10 s). */
const SILENCE = 25_000;
const LONGEST_WAIT = 10_000;

export type Hears = {
  event(event: Event): void;
  line(line: Line): void;
  /** The server has sent everything up to here. */
  ready(): void;
};

export class Stream {
  /** The newest number heard of. */
  number: number;
  #kinds: string | null = null;
  #hears: Hears;
  #abort: AbortController | null = null;
  #tries = 0;
  #open = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(number: number, hears: Hears) {
    this.number = number;
    this.#hears = hears;
  }

  /** Opens the line, or changes what comes in on it. `null` is everything. */
  open(kinds: string | null): void {
    if (this.#open && kinds === this.#kinds) return;
    this.#kinds = kinds;
    this.#open = true;
    this.#again(0);
  }

  close(): void {
    this.#open = false;
    this.#drop();
    this.#hears.line("closed");
  }

  /** Tries at once instead of waiting: the machine woke up, or the network is back. */
  nudge(): void {
    if (this.#open && this.#abort === null) this.#again(0);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#abort?.abort();
    this.#abort = null;
  }

  #again(wait: number): void {
    this.#drop();
    this.#timer = setTimeout(() => void this.#listen(), wait);
  }

  async #listen(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#hears.line("connecting");
    this.#heard();
    try {
      const kinds = this.#kinds === null ? "" : `?kinds=${this.#kinds}`;
      const response = await send(`/events${kinds}`, {
        headers: { accept: "text/event-stream", "last-event-id": String(this.number) },
        signal: abort.signal,
      });
      await this.#take(response);
      throw Problem.offline();
    } catch (error) {
      if (this.#abort !== abort || !this.#open) return;
      this.#abort = null;
      clearTimeout(this.#silence);
      if (error instanceof Problem && error.status === 401) return this.close();
      this.#hears.line("broken");
      this.#tries += 1;
      const wait = Math.min(LONGEST_WAIT, 250 * 2 ** this.#tries) * (0.5 + Math.random() / 2);
      this.#again(wait);
    }
  }

  async #take(response: Response): Promise<void> {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!reader) return;
    const feed = parser((message) => {
      if (message.id !== null) this.number = Math.max(this.number, Number(message.id));
      if (message.event === "message") this.#hears.event(JSON.parse(message.data) as Event);
      else if (message.event === "ready") {
        this.#tries = 0;
        this.#hears.line("live");
        this.#hears.ready();
      }
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#heard();
      feed(value);
    }
  }

  #heard(): void {
    clearTimeout(this.#silence);
    const abort = this.#abort;
    this.#silence = setTimeout(() => abort?.abort(Problem.offline()), SILENCE);
  }
}
