import { expect, it } from "vitest";
import type { Event } from "../api/types";
import { Transcript } from "./transcript";

let seq = 0;
const event = (kind: string, more: Record<string, unknown> = {}): Event => ({
  number: ++seq,
  run: "run_1",
  seq,
  at: seq * 10,
  kind,
  ...more,
});

it("puts a tool's end to its beginning, task by task", () => {
  const t = new Transcript();
  t.add(event("tool.started", { task: "a", tool: "read", summary: "x" }));
  t.add(event("tool.started", { task: "b", tool: "read", summary: "y" }));
  t.add(event("tool.finished", { task: "b", tool: "read", ok: false, summary: "no such file" }));
  t.add(event("tool.finished", { task: "a", tool: "read", ok: true, summary: "12 lines" }));
  t.add(event("tool.finished", { task: "a", tool: "write", ok: true, summary: "late" }));
  expect(t.entries.map((e) => e.is === "tool" && [e.task, e.ok, e.result, e.millis])).toEqual([
    ["a", true, "12 lines", 30],
    ["b", false, "no such file", 10],
    ["a", true, "late", null],
  ]);
});

it("shows what calls used where an attempt or a review ends, each once", () => {
  const t = new Transcript();
  const called = (task: string, model: string, cost: number) =>
    event("model.called", { task, model, usage: { input: 10, cached: 0, output: 2, cost } });
  t.add(event("task.dispatched", { task: "a", agent: "claude", attempt: 1 }));
  t.add(called("a", "p/m", 3));
  t.add(event("task.said", { task: "a", text: "hello" }));
  t.add(called("b", "p/m", 100));
  t.add(called("a", "p/n", 4));
  t.add(event("task.finished", { task: "a", outcome: { verdict: "completed", reason: "done" } }));
  t.add(event("review.requested", { review: { id: "r", reviewer: "codex", task: "a" } }));
  t.add(called("a", "p/r", 5));
  t.add(event("review.received", { review: "r", opinion: { verdict: "approve", text: "", findings: [] } }));
  expect(t.entries.map((e) => e.spent)).toEqual([
    undefined,
    undefined,
    { calls: 2, tokens: 24, cost: 7, models: ["p/m", "p/n"] },
    { calls: 1, tokens: 12, cost: 5, models: ["p/r"] },
  ]);
});

it("keeps the newest entries, and a bounded number of them", () => {
  const t = new Transcript();
  for (let i = 0; i < 50_000; i += 1) t.add(event("task.said", { task: "a", text: String(i) }));
  expect(t.entries.length).toBeLessThanOrEqual(20_000);
  expect(t.entries.at(-1)).toMatchObject({ text: "49999" });
  expect(t.entries.length + t.dropped).toBe(50_000);
});

it("names the reviewer, and tells of rulings only what was not simply allowed", () => {
  const t = new Transcript();
  t.add(event("review.requested", { review: { id: "r", reviewer: "codex", task: "a" } }));
  t.add(event("review.received", { review: "r", opinion: { verdict: null, text: "cannot say", findings: [] } }));
  t.add(
    event("permission.ruled", {
      task: "a",
      question: { tool: "Bash", command: "ls" },
      permission: { ruling: "allow", rule: "r", because: "" },
    }),
  );
  t.add(
    event("permission.ruled", {
      task: "a",
      question: { tool: "Bash", command: "rm -rf x" },
      permission: { ruling: "deny", rule: "delete", because: "no" },
    }),
  );
  expect(t.entries.map((e) => e.is)).toEqual(["review", "ruled"]);
  expect(t.entries[0]).toMatchObject({ reviewer: "codex", task: "a" });
  expect(t.entries[1]).toMatchObject({ wanted: "rm -rf x", ruling: "deny" });
});

it("tells of a budget that runs out", () => {
  const t = new Transcript();
  t.add(event("budget.alerted", { task: null, account: "day", percent: 80, limit: 100_000_000 }));
  t.add(event("budget.refused", { task: "a", because: "the day's budget is spent" }));
  expect(t.entries.map((e) => e.is === "note" && [e.tone, e.text])).toEqual([
    ["wait", "80 % of the budget of day ($100.00) are spent"],
    ["wait", "a call was refused: the day's budget is spent"],
  ]);
});
