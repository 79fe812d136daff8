// Short words about what was just done, or not.

import type { Problem } from "../api/problem";

export type Notice = { id: number; tone: "good" | "bad"; text: string; hint: string | null };

class Notices {
  list = $state<Notice[]>([]);
  #next = 1;

  say(text: string): void {
    this.#put({ tone: "good", text, hint: null }, 4000);
  }

  problem(problem: Problem): void {
    this.#put({ tone: "bad", text: problem.message, hint: problem.hint }, 12_000);
  }

  drop(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  #put(notice: Omit<Notice, "id">, millis: number): void {
    const id = this.#next++;
    this.list = [...this.list.slice(-3), { ...notice, id }];
    setTimeout(() => this.drop(id), millis);
  }
}

export const notices = new Notices();
