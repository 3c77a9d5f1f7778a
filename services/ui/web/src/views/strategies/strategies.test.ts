import { describe, expect, it } from "vitest";
import { boundsText, changedNames, fieldsOf, problemOf, textOf, valueOf, type Field } from "./form";
import { linePath } from "./Sparkline";

const SCHEMA = {
  properties: {
    rate: {
      title: "Orders per second",
      description: "New orders",
      unit: "1/s",
      type: "number",
      exclusiveMinimum: 0,
      maximum: 10000,
      default: 20,
    },
    size: { type: "string", format: "decimal", minimum: "0.001", default: "0.01" },
    levels: { type: "integer", minimum: 1, maximum: 5, default: 2 },
    symbols: { type: "string", maxLength: 5, default: "" },
    side: { enum: ["both", "buy"], default: "both" },
    active: { type: "boolean", default: true },
    stop: { anyOf: [{ type: "string", format: "decimal" }, { type: "null" }], default: null },
  },
};

const fields = fieldsOf(SCHEMA);
const field = (name: string): Field => fields.find((one) => one.name === name) as Field;

describe("a form from a schema", () => {
  it("knows kinds, titles, units and what may be left empty", () => {
    expect(fields.map((one) => one.kind)).toEqual([
      "number",
      "decimal",
      "integer",
      "text",
      "choice",
      "boolean",
      "decimal",
    ]);
    expect(field("rate")).toMatchObject({ title: "Orders per second", unit: "1/s", help: "New orders" });
    expect(field("levels").title).toBe("Levels");
    expect(field("stop").isNullable).toBe(true);
    expect(boundsText(field("rate"))).toBe("more than 0 to 10000, standard 20");
    expect(boundsText(field("stop"))).toBe("standard empty");
  });

  it("says in a sentence what is wrong, at the edge of each bound", () => {
    expect(problemOf(field("rate"), "0")).toBe("It must be more than 0 1/s.");
    expect(problemOf(field("rate"), "0.001")).toBeNull();
    expect(problemOf(field("rate"), "10000")).toBeNull();
    expect(problemOf(field("rate"), "10000.1")).toBe("It must be at most 10000 1/s.");
    expect(problemOf(field("size"), "0.0009")).toBe("It must be at least 0.001.");
    expect(problemOf(field("levels"), "1.5")).toBe("It takes a whole number.");
    expect(problemOf(field("levels"), "")).toBe("It takes a whole number.");
    expect(problemOf(field("symbols"), "123456")).toBe("It takes at most 5 characters.");
    expect(problemOf(field("stop"), "")).toBeNull();
    expect(problemOf(field("stop"), "x")).not.toBeNull();
  });

  it("gives each value its own type back, decimals as text", () => {
    expect(valueOf(field("rate"), "2.5")).toBe(2.5);
    expect(valueOf(field("size"), " 0.10 ")).toBe("0.10");
    expect(valueOf(field("active"), "false")).toBe(false);
    expect(valueOf(field("stop"), "")).toBeNull();
    expect(valueOf(field("side"), "buy")).toBe("buy");
  });

  it("marks what differs from what is stored", () => {
    const stored = { rate: 20, size: "0.01", levels: 2, symbols: "", side: "both", active: true, stop: null };
    const texts = Object.fromEntries(Object.entries(stored).map(([name, value]) => [name, textOf(value)]));
    expect(changedNames(fields, texts, stored)).toEqual([]);
    expect(changedNames(fields, { ...texts, stop: "5", active: "false" }, stored)).toEqual(["active", "stop"]);
  });
});

describe("a sparkline", () => {
  it("draws from edge to edge, and a flat line in the middle", () => {
    expect(linePath([0, 10], 100, 20)).toBe("M0,19 L100,1");
    expect(linePath([5, 5, 5], 100, 20)).toBe("M0,10 L50,10 L100,10");
    expect(linePath([1], 100, 20)).toBe("");
  });
});
