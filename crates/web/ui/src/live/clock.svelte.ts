/** A clock that ticks each second, in the server's time, for ages and elapsed times. */
import { server } from "./server.svelte";

class Clock {
  #now = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.#now = Date.now();
    }, 1000);
  }

  get now(): number {
    return this.#now - server.skew;
  }
}

export const clock = new Clock();
