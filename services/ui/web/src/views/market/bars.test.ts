import { describe, expect, it } from "vitest";
import type { Bar } from "../../api/types";
import { BarRow, barSecond } from "./bars";

const bar = (minute: number, close = "1.00"): Bar => ({
  ts: String(1_700_000_000_000_000_000n + BigInt(minute) * 60_000_000_000n),
  open: "1.00",
  high: close,
  low: "1.00",
  close,
  volume: close,
  trades: 1,
});
const times = (row: BarRow): number[] => row.all.map((one) => (barSecond(one.ts) - 1_700_000_000) / 60);

describe("a row of bars", () => {
  it("draws all at first, then only its end", () => {
    const row = new BarRow();
    expect(row.take([bar(1), bar(2)])).toBeNull();
    expect(row.take([bar(2, "1.10"), bar(3)])).toEqual([bar(2, "1.10"), bar(3)]);
    expect(row.take([bar(3, "1.20")])).toEqual([bar(3, "1.20")]);
    expect(times(row)).toEqual([1, 2, 3]);
  });

  it("draws nothing when nothing is new, also when the stream tells its tail again", () => {
    const row = new BarRow();
    row.take([bar(1), bar(2), bar(3)]);
    expect(row.take([bar(2), bar(3)])).toEqual([]);
    expect(row.take([bar(1), bar(2), bar(3), bar(4)])).toEqual([bar(4)]);
  });

  it("takes older ones and fills a hole", () => {
    const row = new BarRow();
    row.take([bar(5), bar(9)]);
    expect(row.take([bar(1), bar(2)])).toBeNull();
    expect(row.take([bar(7)])).toBeNull();
    expect(times(row)).toEqual([1, 2, 5, 7, 9]);
  });

  it("takes the store's bars after the stream's", () => {
    const row = new BarRow();
    row.take([bar(9, "1.50")]);
    expect(row.take([bar(7), bar(8), bar(9, "1.50")])).toBeNull();
    expect(row.all.at(-1)?.close).toBe("1.50");
  });
});
