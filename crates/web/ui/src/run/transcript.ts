// What agents said and did, as something to read: events folded into entries.

import type { Event, Message, Moment, Opinion, Usage, Violation } from "../api/types";
import { money } from "../words/format";

/** What model calls used up to an entry that ends something: an attempt, a review. */
export type Spent = { calls: number; tokens: number; cost: number; models: string[] };

export type Entry = { seq: number; at: Moment; task: string | null; spent?: Spent } & (
  | { is: "said"; text: string }
  | { is: "tool"; tool: string; summary: string; ok: boolean | null; result: string; millis: number | null }
  | { is: "ruled"; ruling: string; tool: string; wanted: string; rule: string; because: string }
  | { is: "review"; verdict: string | null; reviewer: string; text: string; opinion: Opinion }
  | { is: "note"; tone: "idle" | "run" | "wait" | "good" | "bad"; text: string; detail: string | null }
);

export const TRANSCRIPT_KINDS = [
  "task.*",
  "tool.*",
  "permission.ruled",
  "model.called",
  "budget.refused",
  "budget.alerted",
  "review.*",
  "worker.warned",
  "violation.recorded",
  "decision.*",
  "run.transitioned",
  "validation.finished",
];

/** More are not kept, however long a run is looked at. */
const MOST_ENTRIES = 20_000;

/** Folds events, which come in order, into entries. A tool's end is put to its beginning. */
export class Transcript {
  entries: Entry[] = [];
  /** Entries that were let go because there were too many. */
  dropped = 0;
  #running: { entry: Entry & { is: "tool" }; tool: string; task: string | null }[] = [];
  #reviews = new Map<string, { reviewer: string; task: string | null }>();
  #spent = new Map<string | null, Spent>();

  add(event: Event): void {
    const entry = this.#entry(event);
    if (entry) this.entries.push(entry);
    if (this.entries.length > MOST_ENTRIES) {
      const tenth = MOST_ENTRIES / 10;
      this.entries.splice(0, tenth);
      this.dropped += tenth;
    }
  }

  #entry(event: Event): Entry | null {
    const task = (event["task"] as string | null | undefined) ?? null;
    const base = { seq: event.seq, at: event.at, task };
    const text = (name: string) => String(event[name] ?? "");
    const note = (
      tone: "idle" | "run" | "wait" | "good" | "bad",
      said: string,
      detail: string | null = null,
    ): Entry => ({
      ...base,
      is: "note",
      tone,
      text: said,
      detail,
    });
    switch (event.kind) {
      case "task.said":
        return { ...base, is: "said", text: text("text") };
      case "model.called":
        return this.#called(event, task);
      case "tool.started": {
        const entry: Entry & { is: "tool" } = {
          ...base,
          is: "tool",
          tool: text("tool"),
          summary: text("summary"),
          ok: null,
          result: "",
          millis: null,
        };
        this.#running.push({ entry, tool: entry.tool, task });
        return entry;
      }
      case "tool.finished":
        return this.#finished(event, base);
      case "permission.ruled":
        return this.#ruled(event, base);
      case "task.dispatched":
        this.#spent.delete(task);
        return note(
          "run",
          `${text("agent")} begins, attempt ${text("attempt")}`,
          (event["guidance"] as string[] | undefined)?.join("\n") || null,
        );
      case "task.finished": {
        const { verdict, reason } = event["outcome"] as { verdict: string; reason: string };
        return {
          ...note(verdict === "completed" ? "good" : "bad", `${verdict.replaceAll("_", " ")}: ${reason}`),
          ...this.#close(task),
        };
      }
      case "task.requeued":
        return note("wait", text("because"), (event["guidance"] as string[] | undefined)?.join("\n") || null);
      case "task.told": {
        const message = event["message"] as Message;
        const where = message.file ? ` of ${message.file}${message.line ? `:${message.line}` : ""}` : "";
        return note("run", `${message.by} says${where}: ${message.text}`);
      }
      case "task.recovered":
        return note("wait", `recovered: ${text("repair")}`, text("problem"));
      case "task.held":
        return note("wait", `held: ${text("because")}`);
      case "task.bounced":
        return note(
          "bad",
          `does not fit: ${(event["conflicts"] as string[]).join(", ") || "the checks fail on the combined tree"}`,
        );
      case "task.merged":
        return event["commit"] ? note("good", "merged into the run's branch") : null;
      case "worker.warned":
        return note("wait", text("warning"));
      case "violation.recorded":
        return note("bad", `violation ${violated(event)}`);
      case "budget.refused":
        return note("wait", `a call was refused: ${text("because")}`);
      case "budget.alerted":
        return note(
          "wait",
          `${text("percent")} % of the budget of ${text("account")} (${money(event["limit"] as number)}) are spent`,
        );
      case "task.stopped":
        return note("bad", `stopped: ${text("because")}`);
      case "review.requested": {
        const review = event["review"] as { id: string; reviewer: string; task: string | null };
        this.#reviews.set(review.id, { reviewer: review.reviewer, task: review.task });
        return null;
      }
      case "review.received": {
        const opinion = event["opinion"] as Opinion;
        const known = this.#reviews.get(text("review"));
        return {
          ...base,
          ...this.#close(known?.task ?? null),
          task: known?.task ?? null,
          is: "review",
          verdict: opinion.verdict,
          reviewer: known?.reviewer ?? "a reviewer",
          text: opinion.text,
          opinion,
        };
      }
      case "decision.requested":
        return note("wait", (event["decision"] as { question: string }).question);
      case "decision.made": {
        const { choice, by } = event["answer"] as { choice: string; by: string };
        return note("idle", `decided: ${choice} by ${by}`);
      }
      case "run.transitioned": {
        const to = event["to"] as { state: string; phase?: string };
        return note("idle", `${to.phase && to.state === "active" ? to.phase : to.state}: ${text("because")}`);
      }
      case "validation.finished": {
        const checks = event["checks"] as { passed: boolean | null; command: string | null; output: string };
        if (checks.passed === null) return null;
        return note(
          checks.passed ? "good" : "bad",
          `${checks.command ?? "the checks"} ${checks.passed ? "passes" : "fails"} on the combined tree`,
          checks.output,
        );
      }
      default:
        return null;
    }
  }

  /** Which words a call was for is not told, only whose it was: what calls used is shown where an attempt or a review ends. */
  #called(event: Event, task: string | null): null {
    const { input, output, cost } = event["usage"] as Usage;
    const spent = this.#spent.get(task) ?? { calls: 0, tokens: 0, cost: 0, models: [] };
    const model = String(event["model"]);
    if (!spent.models.includes(model)) spent.models.push(model);
    this.#spent.set(task, {
      ...spent,
      calls: spent.calls + 1,
      tokens: spent.tokens + input + output,
      cost: spent.cost + cost,
    });
    return null;
  }

  #close(task: string | null): { spent?: Spent } {
    const spent = this.#spent.get(task);
    this.#spent.delete(task);
    return spent ? { spent } : {};
  }

  #finished(event: Event, base: { seq: number; at: Moment; task: string | null }): Entry | null {
    const tool = String(event["tool"]);
    const index = this.#running.findIndex((open) => open.tool === tool && open.task === base.task);
    const open = index >= 0 ? this.#running.splice(index, 1)[0] : undefined;
    const ok = event["ok"] as boolean;
    const result = String(event["summary"] ?? "");
    if (open) {
      // A fresh object, so that whoever shows it sees that it changed.
      const place = this.entries.lastIndexOf(open.entry);
      if (place >= 0) this.entries[place] = { ...open.entry, ok, result, millis: base.at - open.entry.at };
      return null;
    }
    return { ...base, is: "tool", tool, summary: "", ok, result, millis: null };
  }

  #ruled(event: Event, base: { seq: number; at: Moment; task: string | null }): Entry | null {
    const permission = event["permission"] as { ruling: string; rule: string; because: string };
    const question = event["question"] as { tool: string; command?: string; paths?: string[]; url?: string };
    // What is allowed is the ordinary case; the tool call that follows tells it.
    if (permission.ruling === "allow") return null;
    const wanted = question.command ?? question.paths?.join(", ") ?? question.url ?? question.tool;
    return {
      ...base,
      is: "ruled",
      ruling: permission.ruling,
      tool: question.tool,
      wanted,
      rule: permission.rule,
      because: permission.because,
    };
  }
}

/** A violation in a line. */
function violated(event: Event): string {
  const found = event["violation"] as Violation;
  const count = Number(event["count"] ?? 0);
  return `${count > 0 ? `${count}` : ""}: ${found.kind} ${found.subject} (${found.rule}), ${found.because}`.trim();
}
