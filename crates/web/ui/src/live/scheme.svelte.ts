// Light, dark, or as the system has it.

export type Scheme = "system" | "light" | "dark";
const KEPT = "maestria.scheme";

class SchemeChoice {
  chosen = $state<Scheme>((localStorage.getItem(KEPT) as Scheme | null) ?? "system");

  choose(scheme: Scheme): void {
    this.chosen = scheme;
    if (scheme === "system") {
      localStorage.removeItem(KEPT);
      delete document.documentElement.dataset["scheme"];
    } else {
      localStorage.setItem(KEPT, scheme);
      document.documentElement.dataset["scheme"] = scheme;
    }
  }

  next(): void {
    const order: Scheme[] = ["system", "light", "dark"];
    this.choose(order[(order.indexOf(this.chosen) + 1) % 3] ?? "system");
  }
}

export const scheme = new SchemeChoice();
