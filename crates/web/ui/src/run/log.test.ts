import { beforeEach, expect, it, vi } from "vitest";
import type { Event } from "../api/types";

const asked: string[] = [];
const kinds = ["task.said", "tool.started"];
const event = (seq: number): Event => ({ number: seq, run: "run_1", seq, at: seq, kind: kinds[seq % 2] ?? "" });
const LENGTH = 100_000;

vi.mock("../api/client", async (original) => ({
  ...(await original<typeof import("../api/client")>()),
  read: async (path: string) => {
    asked.push(path);
    const query = new URLSearchParams(path.split("?")[1]);
    const [after, limit] = [Number(query.get("after")), Number(query.get("limit"))];
    const wanted = (query.get("kinds") ?? "").slice(0, -1);
    const items: Event[] = [];
    let seq = after;
    while (seq < LENGTH && items.length < limit) if (event(++seq).kind.startsWith(wanted)) items.push(event(seq));
    return { items, next: seq < LENGTH ? String(seq) : null };
  },
}));
vi.stubGlobal("sessionStorage", { getItem: () => null });
vi.stubGlobal("requestAnimationFrame", (draw: () => void) => setTimeout(draw, 0));

const { Log } = await import("./log.svelte");
const settle = () => new Promise((done) => setTimeout(done, 5));

beforeEach(() => {
  asked.length = 0;
});

it("reads only the pages that are looked at, and each once", async () => {
  const log = new Log("run_1");
  log.grow(LENGTH);
  expect(log.total).toBe(LENGTH);
  log.want(50_480, 50_520);
  log.want(50_490, 50_530);
  await settle();
  expect(asked).toHaveLength(2);
  expect(log.at(50_499)?.seq).toBe(50_500);
  expect(log.at(50_500)?.seq).toBe(50_501);
  expect(log.at(0)).toBeNull();
  log.want(50_480, 50_520);
  await settle();
  expect(asked).toHaveLength(2);
});

it("forgets pages when there are many, and reads them again", async () => {
  const log = new Log("run_1");
  log.grow(LENGTH);
  for (let at = 0; at < 30_000; at += 500) {
    log.want(at, at + 10);
    await settle();
  }
  expect(log.at(0)).toBeNull();
  expect(log.at(29_500)?.seq).toBe(29_501);
  log.want(0, 10);
  await settle();
  expect(log.at(0)?.seq).toBe(1);
});

it("takes what comes in at the end of the page it belongs to", async () => {
  const log = new Log("run_1");
  log.grow(LENGTH);
  log.want(LENGTH - 10, LENGTH);
  await settle();
  log.take(event(LENGTH + 1));
  log.take(event(LENGTH + 2));
  // One that was missed is not put in the place of another; it is read when it is looked at.
  log.take(event(LENGTH + 9));
  await settle();
  expect(log.total).toBe(LENGTH + 9);
  expect([log.at(LENGTH)?.seq, log.at(LENGTH + 8)?.seq]).toEqual([undefined, undefined]);
});

it("with a filter holds what fits, in order, up to a bound", async () => {
  const log = new Log("run_1");
  log.grow(LENGTH);
  log.filter("tool.*", "");
  await vi.waitFor(() => expect(log.busy).toBe(false), 10_000);
  expect(log.total).toBe(50_000);
  expect(log.at(0)?.seq).toBe(1);
  expect(log.at(1)?.seq).toBe(3);
  log.filter("", "");
  expect(log.total).toBe(LENGTH);
});
