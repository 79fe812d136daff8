// The events of one run that a page looks at: those that were, page by page, and those that come in.

import { query, read } from "../api/client";
import { Problem } from "../api/problem";
import type { Event, Page } from "../api/types";
import { server } from "../live/server.svelte";

const PAGE = 2000;

/** Reads the events of some kinds after `from` in order, and goes on with what comes in. `told` gets each once, in order. */
export function tell(
  run: string,
  from: number,
  kinds: string[],
  told: (events: Event[]) => void,
  failed: (problem: Problem) => void,
): () => void {
  const abort = new AbortController();
  let last = from;
  let behind: Event[] | null = [];
  const fits = (kind: string) => kinds.some((k) => (k.endsWith(".*") ? kind.startsWith(k.slice(0, -1)) : k === kind));
  const hand = (events: Event[]) => {
    const fresh = events.filter((event) => event.seq > last);
    if (fresh.length === 0) return;
    last = fresh.at(-1)?.seq ?? last;
    told(fresh);
  };
  // What comes in while the past is being read waits its turn.
  const stop = server.hear((event) => {
    if (event.run !== run || !fits(event.kind)) return;
    if (behind === null) hand([event]);
    else behind.push(event);
  });
  void (async () => {
    try {
      let after: string | null = String(from);
      while (after !== null) {
        const path: string = query(`/runs/${run}/events`, { after, limit: PAGE, kinds: kinds.join(",") });
        const page: Page<Event> = await read(path, abort.signal);
        hand(page.items);
        after = page.next;
      }
      hand(behind ?? []);
      behind = null;
    } catch (error) {
      if (!abort.signal.aborted && error instanceof Problem) failed(error);
    }
  })();
  return () => {
    abort.abort();
    stop();
  };
}
