// When what was done: events folded into bars on lanes, one lane a task.

import type { Event, Moment, Review } from "../api/types";

export type BarKind = "work" | "review" | "wait" | "merge" | "held";
export type Bar = {
  kind: BarKind;
  from: Moment;
  to: Moment | null;
  label: string;
  tone: "run" | "good" | "bad" | "wait" | "idle";
};
export type Lane = { task: string | null; bars: Bar[] };

/** Kinds that the fold takes account of. */
export const TIMELINE_KINDS = [
  "run.submitted",
  "run.transitioned",
  "task.dispatched",
  "task.finished",
  "task.parked",
  "task.requeued",
  "task.held",
  "task.approved",
  "task.merge_started",
  "task.merged",
  "task.bounced",
  "task.skipped",
  "task.cancelled",
  "task.reset",
  "review.requested",
  "review.received",
];

export class Timeline {
  readonly lanes = new Map<string | null, Bar[]>();
  from: Moment | null = null;
  /** The moment of the newest event. */
  to: Moment = 0;
  #open = new Map<string, Bar>();
  #reviews = new Map<string, string>();

  add(event: Event): void {
    const at = event.at;
    this.from ??= at;
    this.to = Math.max(this.to, at);
    const task = (event["task"] as string | null | undefined) ?? null;
    switch (event.kind) {
      case "run.submitted":
        this.#begin("planning", null, "work", at, "plan");
        break;
      case "run.transitioned":
        this.#run(event, at);
        break;
      case "task.dispatched":
        this.#begin(
          `task ${task}`,
          task,
          "work",
          at,
          `${event["agent"] as string}, attempt ${event["attempt"] as number}`,
        );
        break;
      case "task.finished": {
        const verdict = (event["outcome"] as { verdict: string }).verdict;
        const tone = verdict === "completed" ? "good" : verdict === "interrupted" ? "idle" : "bad";
        this.#end(`task ${task}`, at, tone, verdict);
        break;
      }
      case "task.parked":
        this.#begin(`task ${task}`, task, "wait", at, event["because"] as string);
        break;
      case "task.held":
        this.#begin(`task ${task}`, task, "held", at, event["because"] as string);
        break;
      case "task.merge_started":
        this.#begin(`task ${task}`, task, "merge", at, "merge");
        break;
      case "task.merged":
        this.#end(`task ${task}`, at, "good", "merged");
        break;
      case "task.bounced":
        this.#end(`task ${task}`, at, "bad", "bounced");
        break;
      case "task.requeued":
      case "task.approved":
      case "task.skipped":
      case "task.cancelled":
      case "task.reset":
        this.#end(`task ${task}`, at, "idle", null);
        break;
      case "review.requested": {
        const review = event["review"] as Review;
        this.#reviews.set(review.id, `review ${review.id}`);
        this.#begin(`review ${review.id}`, review.task, "review", at, `review by ${review.reviewer}`);
        break;
      }
      case "review.received": {
        const key = this.#reviews.get(event["review"] as string);
        const verdict = (event["opinion"] as { verdict: string | null }).verdict;
        const tone = verdict === "approve" ? "good" : verdict === "reject" ? "bad" : verdict === null ? "idle" : "wait";
        if (key) this.#end(key, at, tone, verdict ?? "no verdict");
        break;
      }
    }
  }

  /** The end of the picture: now while something is open, else the newest event. */
  end(now: Moment): Moment {
    return this.#open.size > 0 ? Math.max(now, this.to) : this.to;
  }

  #run(event: Event, at: Moment): void {
    const to = event["to"] as { state: string; phase?: string };
    const finished = ["completed", "failed", "aborted"].includes(to.state);
    if (to.state === "active" && to.phase === "validating")
      this.#begin("run", null, "work", at, "check the combined tree");
    else if (to.state === "active" && to.phase === "executing") {
      this.#end("planning", at, "good", null);
      this.#end("run", at, "good", null);
    } else if (to.state === "paused") this.#begin("run", null, "wait", at, "paused");
    else if (to.state === "escalated") this.#begin("run", null, "held", at, "waits for a person");
    else if (finished) {
      const tone = to.state === "completed" ? "good" : to.state === "failed" ? "bad" : "idle";
      for (const key of [...this.#open.keys()]) this.#end(key, at, tone, null);
    }
  }

  #begin(key: string, lane: string | null, kind: BarKind, at: Moment, label: string): void {
    this.#end(key, at, "idle", null);
    const tone = kind === "wait" || kind === "held" ? "wait" : "run";
    const bar: Bar = { kind, from: at, to: null, label, tone };
    this.#open.set(key, bar);
    const bars = this.lanes.get(lane);
    if (bars) bars.push(bar);
    else this.lanes.set(lane, [bar]);
  }

  #end(key: string, at: Moment, tone: Bar["tone"], said: string | null): void {
    const bar = this.#open.get(key);
    if (!bar) return;
    this.#open.delete(key);
    bar.to = at;
    if (bar.kind !== "wait" && bar.kind !== "held") bar.tone = tone;
    if (said) bar.label = `${bar.label}: ${said.replaceAll("_", " ")}`;
  }
}

/** Round steps for an axis of `span` milliseconds with at most `most` marks. */
export function ticks(span: number, most: number): number[] {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    1_800_000, 3_600_000, 7_200_000, 21_600_000, 86_400_000,
  ];
  const step = steps.find((s) => span / s <= most) ?? Math.ceil(span / most / 86_400_000) * 86_400_000;
  const marks: number[] = [];
  for (let at = 0; at <= span; at += step) marks.push(at);
  return marks;
}
