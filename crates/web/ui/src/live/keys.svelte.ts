// Everything the keyboard does, in one list that `?` shows.

import { untrack } from "svelte";

export type Key = { keys: string; does: string; act: () => void; group?: string };

class Keys {
  #lists = $state.raw<Key[][]>([]);
  #pending = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    document.addEventListener("keydown", (event) => this.#down(event));
  }

  get all(): Key[] {
    return this.#lists.flat();
  }

  add(list: Key[]): () => void {
    this.#lists = [...this.#lists, list];
    return () => (this.#lists = this.#lists.filter((other) => other !== list));
  }

  #down(event: KeyboardEvent): void {
    const name = nameOf(event);
    if (name === null) return;
    const target = event.target as HTMLElement;
    const typing =
      target.matches("input:not([type=checkbox], [type=radio]), textarea, select") || target.isContentEditable;
    const dialog = document.querySelector("dialog[open]") !== null;
    if (typing && !dialog && name === "escape") {
      target.blur();
      return;
    }
    if ((typing || dialog) && !name.startsWith("mod+")) return;
    const tried = this.#pending === "" ? [name] : [`${this.#pending} ${name}`, name];
    clearTimeout(this.#timer);
    this.#pending = "";
    for (const keys of tried) {
      // The newest list wins: a page's own keys stand before the general ones.
      const found = this.all.findLast((key) => key.keys === keys);
      if (found) {
        event.preventDefault();
        found.act();
        return;
      }
      if (this.all.some((key) => key.keys.startsWith(`${keys} `))) {
        this.#pending = keys;
        this.#timer = setTimeout(() => (this.#pending = ""), 1200);
        return;
      }
    }
  }
}

function nameOf(event: KeyboardEvent): string | null {
  if (["Shift", "Control", "Meta", "Alt"].includes(event.key)) return null;
  if (event.altKey) return null;
  if (event.metaKey || event.ctrlKey) return `mod+${event.key.toLowerCase()}`;
  return event.key.length === 1 ? event.key : event.key.toLowerCase();
}

export const keys = new Keys();

/** Keys that work while a component is there. */
export function onKeys(list: () => Key[]): void {
  $effect(() => {
    const shown = list();
    return untrack(() => keys.add(shown));
  });
}

export const modKey = /Mac|iP/.test(navigator.platform) ? "⌘" : "Ctrl";

/** `mod+k` → `⌘ K`, `g r` → `g r`: as it is printed on a cap. */
export function caps(name: string): string[] {
  return name
    .split(/[ +]/)
    .map((part) =>
      part === "mod"
        ? modKey
        : part.length === 1 && name.includes("+")
          ? part.toUpperCase()
          : part.length === 1
            ? part
            : part[0]?.toUpperCase() + part.slice(1),
    );
}
