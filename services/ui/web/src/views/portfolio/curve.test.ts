import { expect, it } from "vitest";
import { curveOf } from "./EquityChart";

it("draws one point a second, in order, the fall downwards", () => {
  const point = (ms: number, equity: string, drawdown: string) => ({ ts: `${ms}000000`, equity, peak: "5", drawdown });
  const points = curveOf([point(2_500, "3.5", "1.5"), point(1_000, "5", "0"), point(2_900, "3", "2")]);
  expect(points).toEqual([
    { time: 1, equity: 5, fall: -0 },
    { time: 2, equity: 3, fall: -2 },
  ]);
});
