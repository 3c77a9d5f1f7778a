import { describe, expect, it } from "vitest";
import type { Bar, Order } from "../api/types";
import { MAX_ORDERS, MAX_TRADES, mergedBars, OF_INSTRUMENT } from "./model";
import { LiveStore } from "./store";

/** A store whose frames come when the test says so. */
function storeWithFrames(): { store: LiveStore; frame: () => void } {
  let due: (() => void)[] = [];
  const store = new LiveStore((work) => due.push(work));
  return {
    store,
    frame: () => {
      const now = due;
      due = [];
      for (const work of now) work();
    },
  };
}

const order = (id: string, change: Partial<Order> = {}): Order =>
  ({ client_order_id: id, is_closed: false, outcome: "KNOWN", ts_last: "1", ...change }) as Order;

describe("the live store", () => {
  it("takes all messages of a frame at once and tells each listener once", () => {
    const { store, frame } = storeWithFrames();
    let told = 0;
    store.subscribe(["orders", "prices"], () => (told += 1));
    store.take({ orders: [order("a")], prices: [{ instrument_id: "X" }] }, true);
    store.take({ orders: [order("b")] }, false);
    expect(told).toBe(0);
    expect(store.get("orders").size).toBe(0);
    frame();
    expect(told).toBe(1);
    expect([...store.get("orders").keys()]).toEqual(["a", "b"]);
  });

  it("does not tell those who look at something else", () => {
    const { store, frame } = storeWithFrames();
    store.take({}, true);
    frame();
    let told = 0;
    store.subscribe(["book"], () => (told += 1));
    store.take({ orders: [order("a")] }, false);
    frame();
    expect(told).toBe(0);
  });

  it("keeps what a delta does not name, the very same value", () => {
    const { store, frame } = storeWithFrames();
    store.take({ orders: [order("a")], balances: [{ currency: "BTC" }] }, true);
    frame();
    const balances = store.get("balances");
    store.take({ orders: [order("a", { status: "FILLED" })] }, false);
    frame();
    expect(store.get("balances")).toBe(balances);
    expect(store.get("orders").get("a")?.status).toBe("FILLED");
  });

  it("forgets with a snapshot what it does not hold, and messages before it", () => {
    const { store, frame } = storeWithFrames();
    store.take({ orders: [order("old")], positions: [{}] }, true);
    frame();
    store.take({ orders: [order("late")] }, false);
    store.take({ orders: [order("new")] }, true);
    frame();
    expect([...store.get("orders").keys()]).toEqual(["new"]);
    expect(store.get("positions")).toEqual([]);
  });

  it("empties what is of an instrument when another is chosen", () => {
    const { store, frame } = storeWithFrames();
    store.take({ book: { instrument_id: "X" }, trades: [{ trade_id: "1" }], orders: [order("a")] }, true);
    frame();
    store.forget(OF_INSTRUMENT);
    expect(store.get("book")).toBeNull();
    expect(store.get("trades")).toEqual([]);
    expect(store.get("orders").size).toBe(1);
  });

  it("stays bounded: prints newest first, unfinished orders never dropped", () => {
    const { store, frame } = storeWithFrames();
    const trades = Array.from({ length: MAX_TRADES + 50 }, (_, index) => ({ trade_id: String(index) }));
    const closed = Array.from({ length: MAX_ORDERS + 10 }, (_, index) =>
      order(`closed-${index}`, { is_closed: true, ts_last: String(1_000_000 + index) }),
    );
    store.take(
      { trades, orders: [order("open"), order("lost", { is_closed: true, outcome: "UNKNOWN" }), ...closed] },
      true,
    );
    frame();
    expect(store.get("trades")).toHaveLength(MAX_TRADES);
    expect(store.get("trades")[0]).toEqual({ trade_id: String(MAX_TRADES + 49) });
    expect(store.get("orders").size).toBe(MAX_ORDERS);
    expect(store.get("orders").has("open") && store.get("orders").has("lost")).toBe(true);
    expect(store.get("orders").has("closed-0")).toBe(false);
  });

  it("does not let messages pile up when no frame comes", () => {
    const { store } = storeWithFrames();
    store.take({}, true);
    for (let index = 0; index < 2_000; index += 1) store.take({ orders: [order(`a-${index % 10}`)] }, false);
    expect(store.get("orders").size).toBe(10);
  });

  it("ignores parts that it does not know", () => {
    const { store, frame } = storeWithFrames();
    store.take({ something_new: [1] }, true);
    frame();
    expect(store.get("orders").size).toBe(0);
  });
});

describe("bars", () => {
  const bar = (ts: string, close: string): Bar => ({ ts, close }) as Bar;

  it("replace the one of the same time and append the next", () => {
    expect(mergedBars([bar("10", "1"), bar("20", "1")], [bar("20", "2"), bar("30", "3")])).toEqual([
      bar("10", "1"),
      bar("20", "2"),
      bar("30", "3"),
    ]);
  });

  it("fall into their place when they come late", () => {
    expect(mergedBars([bar("10", "1"), bar("30", "1")], [bar("20", "2")]).map((one) => one.ts)).toEqual([
      "10",
      "20",
      "30",
    ]);
  });
});
