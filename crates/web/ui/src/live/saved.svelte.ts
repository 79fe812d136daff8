// Filters that a person gave a name, kept in this browser.

export type Saved = { name: string; search: string };
const KEPT = "maestria.filters";

class SavedFilters {
  list = $state.raw<Saved[]>(this.#read());

  save(name: string, search: string): void {
    this.#write([...this.list.filter((saved) => saved.name !== name), { name, search }]);
  }

  drop(name: string): void {
    this.#write(this.list.filter((saved) => saved.name !== name));
  }

  #read(): Saved[] {
    try {
      const read: unknown = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
      return Array.isArray(read)
        ? read.filter((s): s is Saved => typeof s?.name === "string" && typeof s?.search === "string")
        : [];
    } catch {
      return [];
    }
  }

  #write(list: Saved[]): void {
    this.list = list;
    localStorage.setItem(KEPT, JSON.stringify(list));
  }
}

export const savedFilters = new SavedFilters();
