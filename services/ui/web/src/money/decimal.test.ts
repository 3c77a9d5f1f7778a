import { describe, expect, it } from "vitest";
import {
  add,
  compare,
  decimal,
  decimalsOf,
  divideToStep,
  fixed,
  floorToStep,
  isOnStep,
  moveBySteps,
  multiply,
  parse,
  rounded,
  subtract,
  sum,
  text,
} from "./decimal";

const of = (value: string) => decimal(value);

describe("decimal text", () => {
  it("is read and written without loss", () => {
    for (const value of ["0", "61837.63", "-0.00001000", "123456789012345678901234567890.000000000000000001"]) {
      expect(text(of(value))).toBe(value);
    }
  });

  it("is refused when it is no number", () => {
    for (const value of ["", "-", "1e5", "1,000", "NaN", "0x10", "1.2.3", "--1", ".", " "])
      expect(parse(value)).toBeNull();
  });

  it("takes what people type", () => {
    expect(parse(".5")).toEqual({ mantissa: 5n, scale: 1 });
    expect(parse(" 5. ")).toEqual({ mantissa: 5n, scale: 0 });
  });

  it("is added and multiplied exactly where floats are not", () => {
    expect(text(add(of("0.1"), of("0.2")))).toBe("0.3");
    expect(text(subtract(of("1.00"), of("0.9")))).toBe("0.10");
    expect(text(multiply(of("60000.135"), of("0.00209")))).toBe("125.40028215");
    expect(text(sum(["0.1", "0.2", "-0.3"]))).toBe("0.0");
  });

  it("is compared by value, not by length", () => {
    expect(compare(of("1.0"), of("1.000"))).toBe(0);
    expect(compare(of("-2"), of("1"))).toBe(-1);
    expect(compare(of("9007199254740993"), of("9007199254740992"))).toBe(1);
  });
});

describe("steps", () => {
  it("are kept exactly", () => {
    expect(isOnStep(of("61837.63"), of("0.01"))).toBe(true);
    expect(isOnStep(of("61837.635"), of("0.01"))).toBe(false);
    expect(isOnStep(of("0.3"), of("0.1"))).toBe(true);
  });

  it("cut towards zero", () => {
    expect(text(floorToStep(of("0.123456789"), of("0.00001000")))).toBe("0.123450000");
  });

  it("cut a quotient", () => {
    expect(text(divideToStep(of("1000.00"), of("60000.13"), of("0.00001")))).toBe("0.0166600");
    expect(compare(divideToStep(of("1"), of("3"), of("0.1")), of("0.3"))).toBe(0);
    expect(compare(divideToStep(of("10"), of("0.5"), of("1")), of("20"))).toBe(0);
  });

  it("move a price, from between two steps to the next one, never to zero", () => {
    expect(text(moveBySteps(of("100.00"), of("0.01"), 1))).toBe("100.01");
    expect(text(moveBySteps(of("100.00"), of("0.01"), -10))).toBe("99.90");
    expect(text(moveBySteps(of("100.005"), of("0.01"), 1))).toBe("100.010");
    expect(text(moveBySteps(of("100.005"), of("0.01"), -1))).toBe("100.000");
    expect(text(moveBySteps(of("0.01"), of("0.01"), -5))).toBe("0.01");
  });

  it("tell how many decimals matter", () => {
    expect(decimalsOf("0.00001000")).toBe(5);
    expect(decimalsOf("1")).toBe(0);
    expect(decimalsOf("10.0")).toBe(0);
  });
});

describe("fewer decimals", () => {
  it("are cut for what lies on a step", () => {
    expect(fixed(of("61737.63000000"), 2)).toBe("61737.63");
    expect(fixed(of("5"), 2)).toBe("5.00");
  });

  it("are rounded for what is only shown", () => {
    expect(text(rounded(of("2.345"), 2))).toBe("2.35");
    expect(text(rounded(of("-2.345"), 2))).toBe("-2.35");
    expect(text(rounded(of("-0.004"), 2))).toBe("0.00");
  });
});
