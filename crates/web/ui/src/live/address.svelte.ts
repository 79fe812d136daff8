// Where we are. The whole view lives in the address: what a link says, another person sees.

import { changed } from "../words/query";

class Address {
  path = $state(location.pathname);
  search = $state(location.search);

  constructor() {
    window.addEventListener("popstate", () => this.#look());
    document.addEventListener("click", (event) => this.#click(event));
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.search);
  }

  get(name: string): string {
    return this.query.get(name) ?? "";
  }

  list(name: string): string[] {
    return this.get(name)
      .split(",")
      .filter((word) => word !== "");
  }

  go(to: string): void {
    if (to === location.pathname + location.search) return;
    const before = location.pathname;
    history.pushState(null, "", to);
    this.#look();
    if (location.pathname !== before) {
      scrollTo(0, 0);
      // A new page is told to people who hear it: the reading begins at its heading.
      requestAnimationFrame(() => document.querySelector<HTMLElement>("main")?.focus({ preventScroll: true }));
    }
  }

  /** The address with some parameters changed; empty ones are left out. */
  with(changes: Record<string, string | null>): string {
    return this.path + changed(this.search, changes);
  }

  /** Changes parameters without a new entry in the history: typing in a filter is no journey. */
  set(changes: Record<string, string | null>): void {
    history.replaceState(null, "", this.with(changes));
    this.#look();
  }

  #look(): void {
    this.path = location.pathname;
    this.search = location.search;
  }

  #click(event: MouseEvent): void {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = (event.target as Element).closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const address = new Address();
