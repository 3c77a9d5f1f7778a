import { describe, expect, it } from "vitest";
import type { Order } from "../../api/types";
import { valueProblem } from "./acting";
import { askedOf, filtersOf, mergedOrders, NO_FILTERS, orderFits, spanOf, withFilters } from "./filters";
import { fractionOf, placed, took, type Step } from "./timeline";

function order(id: string, more: Partial<Order> = {}): Order {
  return {
    client_order_id: id,
    venue_order_id: null,
    strategy_id: "ema-cross",
    account_id: "a",
    instrument_id: "BTCUSDT.SIM",
    side: "BUY",
    order_type: "LIMIT",
    time_in_force: "GTC",
    size: "1",
    filled_size: "0",
    price: "10",
    trigger_price: null,
    post_only: false,
    reduce_only: false,
    status: "ACCEPTED",
    is_closed: false,
    outcome: "KNOWN",
    unknown_since: null,
    reason: null,
    correlation_id: "c",
    ts_init: "1000",
    ts_last: "1000",
    ...more,
  };
}

function step(name: string, ts: number): Step {
  return { step: name, ts: String(ts), since_previous_ns: null, event_id: null, note: null };
}

describe("filters", () => {
  it("stand in the address and come back from it, beside what else is there", () => {
    const filters = { ...NO_FILTERS, status: "open", side: "BUY", search: "a b&c" };
    const query = withFilters(new URLSearchParams("show=fills"), filters);
    expect(query.get("show")).toBe("fills");
    expect(filtersOf(new URLSearchParams(query.toString()))).toEqual(filters);
    expect(withFilters(query, NO_FILTERS).toString()).toBe("show=fills");
  });

  it("ask for a relative time from a whole minute on", () => {
    const span = spanOf({ ...NO_FILTERS, range: "5m" }, 600_000 + 1_234);
    expect(span).toEqual({ since: "300000000000", until: null });
    expect(spanOf({ ...NO_FILTERS, range: "5m" }, 600_000 + 59_000)).toEqual(span);
    expect(spanOf({ ...NO_FILTERS, range: "own", since: "nonsense" }, 0)).toEqual({ since: null, until: null });
  });

  it("are asked of the api by its names", () => {
    const asked = askedOf(
      { ...NO_FILTERS, status: "FILLED", strategy: "s", search: " x " },
      { since: "5", until: null },
      "orders",
    );
    expect(asked).toMatchObject({ status: "FILLED", strategy_id: "s", search: "x", since: "5" });
    expect(askedOf(NO_FILTERS, { since: null, until: null }, "fills")).not.toHaveProperty("status");
  });

  it("let an order in doubt through as one without an end", () => {
    const doubtful = order("a", { status: "REJECTED", is_closed: true, outcome: "UNKNOWN" });
    const all = { since: null, until: null };
    expect(orderFits(doubtful, { ...NO_FILTERS, status: "open" }, all)).toBe(true);
    expect(orderFits(doubtful, { ...NO_FILTERS, side: "SELL" }, all)).toBe(false);
    expect(orderFits(order("a", { reason: "NO_Balance" }), { ...NO_FILTERS, search: "balance" }, all)).toBe(true);
    expect(orderFits(order("a"), NO_FILTERS, { since: null, until: "1000" })).toBe(false);
  });
});

describe("history and stream", () => {
  it("are one list in which the later word counts, newest first", () => {
    const paged = [order("b", { ts_init: "2000", status: "ACCEPTED" }), order("a", { ts_last: "900" })];
    const live = new Map([
      ["b", order("b", { ts_init: "2000", ts_last: "3000", status: "FILLED", is_closed: true })],
      ["a", order("a", { ts_last: "800", status: "INITIALIZED" })],
      ["c", order("c", { ts_init: "10000" })],
    ]);
    const rows = mergedOrders(paged, live, () => true);
    expect(rows.map((one) => `${one.client_order_id} ${one.status}`)).toEqual(["c ACCEPTED", "b FILLED", "a ACCEPTED"]);
    expect(mergedOrders(paged, live, (one) => one.status !== "FILLED").map((one) => one.client_order_id)).toEqual([
      "c",
      "a",
    ]);
  });
});

describe("the picture of a story", () => {
  it("uses logarithms when times differ a lot, and keeps the order of steps", () => {
    const timeline = placed([
      step("intent", 0),
      step("commit", 900_000),
      step("ack", 4_000_000),
      step("fill", 60_000_000_000),
    ]);
    expect(timeline.isLog).toBe(true);
    const at = timeline.steps.map((one) => one.at);
    expect(at[0]).toBe(0);
    expect(at.at(-1)).toBeCloseTo(1);
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect((at[1] ?? 0) > 0.1).toBe(true);
    expect(timeline.totalNs).toBe(60_000_000_000);
  });

  it("stands linear when times are alike, and survives one step, none and clocks that disagree", () => {
    const timeline = placed([step("a", 0), step("b", 1_000), step("c", 3_000)]);
    expect(timeline.isLog).toBe(false);
    expect(timeline.steps[1]?.at).toBeCloseTo(1 / 3);
    expect(placed([]).steps).toEqual([]);
    expect(placed([step("a", 5)]).steps[0]?.at).toBe(0);
    expect(placed([step("a", 5), step("b", 3)]).steps[1]?.tookNs).toBe(0);
  });

  it("writes times with the unit that fits", () => {
    expect([took(12), took(8_200), took(1_340_000), took(45_600_000), took(2_100_000_000)]).toEqual([
      "12 ns",
      "8.20 \u00B5s",
      "1.34 ms",
      "45.6 ms",
      "2.10 s",
    ]);
    expect(fractionOf("1700000000042317009")).toBe(".042\u2009317");
    expect(took(250e9)).toBe("4 min 10 s");
    expect(took(3 * 3_600e9 + 60e9 * 5)).toBe("3 h 5 min");
  });
});

describe("a modified order", () => {
  it("takes numbers above zero", () => {
    expect(valueProblem("1.5", "price")).toBeNull();
    for (const wrong of ["", "0", "-1", "x", "1e5"]) expect(valueProblem(wrong, "price")).not.toBeNull();
  });
});
