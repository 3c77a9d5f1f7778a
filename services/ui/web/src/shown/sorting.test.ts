import { expect, it } from "vitest";
import { order } from "./DataTable";

it("sorts numbers by size, also below zero, and text as people do", () => {
  expect([14.77, -3.53, 0, Number.NaN].sort(order)).toEqual([Number.NaN, -3.53, 0, 14.77]);
  expect(["order-10", "order-9", ""].sort(order)).toEqual(["", "order-9", "order-10"]);
  expect(order(null, "a")).toBeLessThan(0);
});
