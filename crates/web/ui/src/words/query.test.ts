import { expect, it } from "vitest";
import { changed } from "./query";

it("changes what it is told to and leaves the rest, in one order whatever came first", () => {
  expect(changed("?tab=events&kinds=task.*", { kinds: "run.*" })).toBe("?kinds=run.*&tab=events");
  expect(changed("?b=2", { a: "1" })).toBe(changed("?a=1", { b: "2" }));
});

it("leaves out what is empty, and the mark with it", () => {
  expect(changed("?q=x", { q: "" })).toBe("");
  expect(changed("?q=x&state=open", { q: null })).toBe("?state=open");
});

it("keeps lists readable and words intact", () => {
  expect(changed("", { needs: "tools,vision" })).toBe("?needs=tools,vision");
  expect(new URLSearchParams(changed("", { q: "a&b=c #1 %2C" })).get("q")).toBe("a&b=c #1 %2C");
});
