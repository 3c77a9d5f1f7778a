import { describe, expect, it } from "vitest";
import { clockTime, dateTime, direction, duration, number, signed, trimmed, words } from "./format";

describe("numbers as they are shown", () => {
  it("are grouped, and what is not there is a dash", () => {
    expect(number("1234567.8910", 2)).toBe("1,234,567.89");
    expect(number("-1234.5", 2)).toBe("\u22121,234.50");
    expect(number(null)).toBe("\u2013");
  });

  it("have a sign only where something is left after rounding", () => {
    expect(signed("12.3")).toBe("+12.30");
    expect(signed("-0.001")).toBe("0.00");
    expect(signed("0.001")).toBe("0.00");
  });

  it("lose their zeros, not their digits", () => {
    expect(trimmed("0.05000000")).toBe("0.05");
    expect(trimmed("10.00", 2)).toBe("10.00");
    expect(trimmed("59997.958044")).toBe("59,997.958044");
  });

  it("stay readable when they are no numbers", () => {
    expect(number("123 (mantissa)", 2)).toBe("123 (mantissa)");
    expect(direction("123 (mantissa)")).toBe(0);
  });
});

describe("times and words", () => {
  it("are of the chosen zone", () => {
    expect(clockTime(Date.UTC(2026, 0, 2, 3, 4, 5), "UTC")).toBe("03:04:05");
    expect(dateTime(Date.UTC(2026, 0, 2, 0, 4, 5), "UTC")).toBe("2026-01-02 00:04:05");
  });

  it("say how long", () => {
    expect([3_900, 95_000, 7_200_000, 3e8].map(duration)).toEqual(["3 s", "1 min", "2 h", "3 d"]);
    expect(duration(-5)).toBe("0 s");
  });

  it("read as people write", () => {
    expect(words("PARTIALLY_FILLED")).toBe("Partially filled");
  });
});
