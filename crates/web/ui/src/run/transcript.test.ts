import { expect, it } from "vitest";
import type { Event } from "../api/types";
import { Transcript } from "./transcript";

let seq = 0;
const event = (kind: string, more: Record<string, unknown> = {}): Event => ({ number: ++seq, run: "run_1", seq, at: seq * 10, kind, ...more });

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

it("gives a call's cost to what was said before it, and once", () => {
  const t = new Transcript();
  const usage = { input: 1, cached: 0, output: 2, cost: 3 };
  t.add(event("task.said", { task: "a", text: "hello" }));
  t.add(event("model.called", { task: "a", model: "p/m", usage }));
  t.add(event("model.called", { task: "a", model: "p/m", usage: { ...usage, cost: 9 } }));
  t.add(event("model.called", { task: "b", model: "p/m", usage }));
  expect(t.entries).toHaveLength(1);
  expect(t.entries[0]).toMatchObject({ is: "said", model: "p/m", usage });
});

it("names the reviewer, and tells of rulings only what was not simply allowed", () => {
  const t = new Transcript();
  t.add(event("review.requested", { review: { id: "r", reviewer: "codex", task: "a" } }));
  t.add(event("review.received", { review: "r", opinion: { verdict: null, text: "cannot say", findings: [] } }));
  t.add(event("permission.ruled", { task: "a", question: { tool: "Bash", command: "ls" }, permission: { ruling: "allow", rule: "r", because: "" } }));
  t.add(event("permission.ruled", { task: "a", question: { tool: "Bash", command: "rm -rf x" }, permission: { ruling: "deny", rule: "delete", because: "no" } }));
  expect(t.entries.map((e) => e.is)).toEqual(["review", "ruled"]);
  expect(t.entries[0]).toMatchObject({ reviewer: "codex", task: "a" });
  expect(t.entries[1]).toMatchObject({ wanted: "rm -rf x", ruling: "deny" });
});
