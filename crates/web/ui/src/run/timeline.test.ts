import { expect, it } from "vitest";
import type { Event } from "../api/types";
import { Timeline, ticks } from "./timeline";

let seq = 0;
const event = (at: number, kind: string, more: Record<string, unknown> = {}): Event => ({
  number: ++seq,
  run: "run_1",
  seq,
  at,
  kind,
  ...more,
});

it("folds attempts, reviews and merges into bars of their task", () => {
  const line = new Timeline();
  for (const e of [
    event(0, "run.submitted"),
    event(5, "run.transitioned", { to: { state: "active", phase: "executing" } }),
    event(10, "task.dispatched", { task: "t1", agent: "claude", attempt: 1 }),
    event(20, "task.finished", { task: "t1", outcome: { verdict: "timed_out" } }),
    event(21, "task.parked", { task: "t1", because: "a back-off" }),
    event(30, "task.requeued", { task: "t1" }),
    event(31, "task.dispatched", { task: "t1", agent: "claude", attempt: 2 }),
    event(50, "task.finished", { task: "t1", outcome: { verdict: "completed" } }),
    event(51, "review.requested", { review: { id: "r1", task: "t1", reviewer: "codex" } }),
    event(60, "review.received", { review: "r1", opinion: { verdict: "approve" } }),
    event(61, "task.merge_started", { task: "t1" }),
  ])
    line.add(e);
  expect(line.lanes.get("t1")?.map((b) => [b.kind, b.from, b.to, b.tone, b.label])).toEqual([
    ["work", 10, 20, "bad", "claude, attempt 1: timed out"],
    ["wait", 21, 30, "wait", "a back-off"],
    ["work", 31, 50, "good", "claude, attempt 2: completed"],
    ["review", 51, 60, "good", "review by codex: approve"],
    ["merge", 61, null, "run", "merge"],
  ]);
  expect(line.end(100)).toBe(100);
  line.add(event(70, "task.merged", { task: "t1" }));
  expect(line.end(100)).toBe(70);
});

it("ends what is open when the run ends", () => {
  const line = new Timeline();
  line.add(event(0, "run.submitted"));
  line.add(event(1, "task.dispatched", { task: "t1", agent: "a", attempt: 1 }));
  line.add(event(9, "run.transitioned", { to: { state: "aborted" } }));
  expect([...line.lanes.values()].flat().map((b) => b.to)).toEqual([9, 9]);
});

it("marks an axis in round steps", () => {
  expect(ticks(1000, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
  expect(ticks(90_000, 6)).toEqual([0, 15_000, 30_000, 45_000, 60_000, 75_000, 90_000]);
  expect(ticks(0, 5)).toEqual([0]);
  expect(ticks(30 * 86_400_000, 6).length).toBeLessThanOrEqual(7);
});
