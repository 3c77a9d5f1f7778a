import { describe, expect, it } from "vitest";
import { differenceOf } from "./difference";

describe("before and after", () => {
  it("are compared field by field where they have fields", () => {
    expect(differenceOf('{"a":1,"b":"x"}', '{"a":2,"b":"x","c":null}')).toEqual([
      { name: "a", before: "1", after: "2" },
      { name: "c", before: "", after: "null" },
    ]);
    expect(differenceOf("", '{"a":1}')).toEqual([{ name: "a", before: "", after: "1" }]);
  });

  it("are two texts otherwise", () => {
    expect(differenceOf("trader", "risk")).toEqual([{ name: "", before: "trader", after: "risk" }]);
    expect(differenceOf("", "viewer")).toEqual([{ name: "", before: "", after: "viewer" }]);
    expect(differenceOf("ACTIVE", "ACTIVE")).toEqual([]);
    expect(differenceOf("[1]", "{")).toEqual([{ name: "", before: "[1]", after: "{" }]);
  });
});
