import { describe, expect, it } from "vitest";
import type { Level, Order } from "../../api/types";
import { ladderOf, oursBy } from "./ladder";

const BIDS: Level[] = [
  ["100.05", "0.1"],
  ["100.04", "0.2"],
  ["100.01", "0.3"],
  ["99.99", "1"],
];
const ASKS: Level[] = [
  ["100.06", "0.5"],
  ["100.10", "0.5"],
  ["100.11", "2"],
];
const none = new Map<string, string>();

describe("the ladder", () => {
  it("sums up exactly, best first", () => {
    const levels = ladderOf(BIDS, true, "0.01", 3, none);
    expect(levels.map((level) => [level.price, level.size, level.sum])).toEqual([
      ["100.05", "0.1", "0.1"],
      ["100.04", "0.2", "0.3"],
      ["100.01", "0.3", "0.6"],
    ]);
    expect(levels.map((level) => level.share)).toEqual([0.1 / 0.6, 0.5, 1]);
  });

  it("puts bids together downwards and asks upwards", () => {
    expect(ladderOf(BIDS, true, "0.1", 9, none).map((level) => [level.price, level.size])).toEqual([
      ["100.00", "0.6"],
      ["99.90", "1"],
    ]);
    expect(ladderOf(ASKS, false, "0.1", 9, none).map((level) => [level.price, level.size])).toEqual([
      ["100.10", "1.0"],
      ["100.20", "2"],
    ]);
  });

  it("does not cut a group in two when the rows are full", () => {
    expect(ladderOf(BIDS, true, "0.1", 1, none)).toMatchObject([{ price: "100.00", sum: "0.6" }]);
  });

  it("is empty of an empty side", () => {
    expect(ladderOf([], true, "0.01", 5, none)).toEqual([]);
  });

  it("marks what of it is ours, put together too", () => {
    const ours = new Map([
      ["100.05", "0.1"],
      ["100.01", "0.25"],
    ]);
    expect(ladderOf(BIDS, true, "0.01", 9, ours).map((level) => level.ours)).toEqual(["0.1", "", "0.25", ""]);
    expect(ladderOf(BIDS, true, "0.1", 9, ours)[0]?.ours).toBe("0.35");
  });
});

describe("our orders", () => {
  const order = (change: Partial<Order>): Order =>
    ({
      instrument_id: "X",
      side: "BUY",
      price: "1.00",
      size: "0.3",
      filled_size: "0.1",
      is_closed: false,
      outcome: "KNOWN",
      ...change,
    }) as Order;

  it("count what is left, of this instrument, unfinished, with a price", () => {
    const { bids, asks } = oursBy(
      [
        order({}),
        order({ size: "1", filled_size: "0" }),
        order({ side: "SELL", price: "2.00" }),
        order({ instrument_id: "Y" }),
        order({ price: null }),
        order({ is_closed: true }),
        order({ is_closed: true, outcome: "UNKNOWN", price: "3.00" }),
      ],
      "X",
    );
    expect([...bids]).toEqual([
      ["1.00", "1.2"],
      ["3.00", "0.2"],
    ]);
    expect([...asks]).toEqual([["2.00", "0.2"]]);
  });
});
