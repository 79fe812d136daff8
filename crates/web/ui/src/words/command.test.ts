import { expect, it } from "vitest";
import { quote } from "./command";

it("quotes for a shell only what needs it, and so that it cannot break out", () => {
  expect(quote("/src/app")).toBe("/src/app");
  expect(quote("Add a flag")).toBe("'Add a flag'");
  expect(quote("it's $(rm -rf /) `x`")).toBe(`'it'\\''s $(rm -rf /) \`x\`'`);
  expect(quote("")).toBe("''");
});
