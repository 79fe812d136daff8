import { expect, it } from "vitest";
import { rank } from "./rank";

const LABELS = ["Costs", "Decisions", "Start a run", "Runs", "Audit"];

it("puts beginnings before parts before scattered letters", () => {
  expect(rank(LABELS, "run", (l) => l)).toEqual(["Runs", "Start a run"]);
  expect(rank(LABELS, "dsn", (l) => l)).toEqual(["Decisions"]);
  expect(rank(LABELS, "", (l) => l)).toEqual(LABELS);
  expect(rank(LABELS, "zz", (l) => l)).toEqual([]);
});
