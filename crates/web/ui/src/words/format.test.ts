import { describe, expect, it } from "vitest";
import { ago, bytes, count, money, permille, short, span, visible } from "./format";

describe("numbers as the command line writes them", () => {
  it("money", () => {
    expect([0, 1, 841, 12_300, 999_999, 1_000_000, 12_345_678, 1_234_567_890_000].map(money)).toEqual([
      "$0.00",
      "$0.0001",
      "$0.0009",
      "$0.0123",
      "$0.9999",
      "$1.00",
      "$12.34",
      "$1,234,567.89",
    ]);
    expect(money(-2_500_000)).toBe("-$2.50");
  });
  it("tokens", () => {
    expect([0, 950, 1000, 12_345, 999_999, 4_567_890].map(count)).toEqual([
      "0",
      "950",
      "1k",
      "12.3k",
      "999.9k",
      "4.5M",
    ]);
  });
  it("spans", () => {
    expect([0, 12.4, 999, 4_210, 59_999, 200_000, 3_600_000, 7_500_000, 273_600_000].map(span)).toEqual([
      "0 ms",
      "12 ms",
      "999 ms",
      "4.2 s",
      "59 s",
      "3 min 20 s",
      "1 h",
      "2 h 5 min",
      "3 d 4 h",
    ]);
    expect(span(-5)).toBe("0 ms");
  });
  it("ages, before and after", () => {
    const now = 1_000_000_000;
    expect([now, now - 90_000, now - 7_200_000, now + 3 * 86_400_000].map((at) => ago(at, now))).toEqual([
      "just now",
      "1 min ago",
      "2 h ago",
      "in 3 d",
    ]);
  });
  it("what would not be seen", () => {
    expect(visible("if admin \u202e{ return }\u2066 \u200bx\r\n\ty")).toBe(
      "if admin ⟨U+202E⟩{ return }⟨U+2066⟩ ⟨U+200B⟩x⟨U+000D⟩\n\ty",
    );
    expect(visible("\u001b[31mred, naïve 日本 👩")).toBe("⟨U+001B⟩[31mred, naïve 日本 👩");
  });
  it("the rest", () => {
    expect(permille(940)).toBe("0.94");
    expect(permille(1000)).toBe("1.00");
    expect(permille(76)).toBe("0.07");
    expect([512, 2048, 2_147_483_648].map(bytes)).toEqual(["512 B", "2.0 KiB", "2.0 GiB"]);
    expect(short("run_01a1fdcbc04a76aa8fb2b8ad72265da7")).toBe("run_265da7");
    expect(short("E1")).toBe("E1");
  });
});
