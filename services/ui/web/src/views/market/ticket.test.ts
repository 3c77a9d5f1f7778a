import { beforeEach, describe, expect, it } from "vitest";
import type { Balance, Instrument, Price } from "../../api/types";
import {
  edit,
  EMPTY,
  notionalOf,
  orderOf,
  problemsOf,
  sizeOfShare,
  steppedPrice,
  steppedSize,
  toStage,
  useTicket,
  type Ticket,
} from "./ticket";

const BTC: Instrument = {
  instrument_id: "BTCUSDT.BINANCE",
  venue: "BINANCE",
  symbol: "BTCUSDT",
  base_currency: "BTC",
  quote_currency: "USDT",
  price_precision: 2,
  size_precision: 8,
  price_increment: "0.01",
  size_increment: "0.00001000",
  min_size: "0.00001000",
  max_size: "9000.00000000",
  max_price: "1000000.00",
  min_notional: "5.00000000",
};
const PRICE: Price = {
  instrument_id: "BTCUSDT.BINANCE",
  bid: "60000.00",
  bid_size: "1.00000000",
  ask: "60000.01",
  ask_size: "2.00000000",
  last: "60000.00",
  last_side: "BUY",
  ts_event: "1",
  feed: "LIVE",
  feed_detail: "",
};
const BALANCES: Balance[] = [
  { account_id: "A", currency: "USDT", free: "1000.00", locked: "0", total: "1000.00" },
  { account_id: "A", currency: "BTC", free: "0.123456789", locked: "0", total: "0.123456789" },
];
const ticket = (change: Partial<Ticket>): Ticket => ({ ...EMPTY, price: "60000.00", size: "0.01", ...change });

describe("problems", () => {
  it("are none of a good order", () => {
    expect(problemsOf(ticket({}), BTC)).toEqual({});
    expect(problemsOf(ticket({ orderType: "MARKET", price: "" }), BTC)).toEqual({});
  });

  it.each([
    [{ size: "" }, { size: "How much?" }],
    [{ size: "1e-3" }, { size: "Write a number, such as 0.01" }],
    [{ size: "0.000001" }, { size: "In steps of 0.00001" }],
    [{ size: "-1" }, { size: "More than 0" }],
    [{ size: "9001" }, { size: "At most 9000" }],
    [{ size: "0.00001" }, { size: "Price times size must be at least 5 USDT" }],
    [{ price: "" }, { price: "At which price?" }],
    [{ price: "60000.001" }, { price: "In steps of 0.01" }],
    [{ price: "1000000.01" }, { price: "At most 1000000" }],
  ])("of %o are %o", (change, problems) => {
    expect(problemsOf(ticket(change), BTC)).toEqual(problems);
  });
});

describe("what is sent", () => {
  it("is text, digit by digit", () => {
    const order = orderOf(ticket({ price: "60000.10", size: ".012345" }), BTC, "manual-1");
    expect(order).toMatchObject({ price: "60000.10", size: "0.012345", client_order_id: "manual-1" });
  });

  it("has no price when it takes what there is", () => {
    expect(orderOf(ticket({ orderType: "MARKET" }), BTC)).not.toHaveProperty("price");
  });
});

describe("helps", () => {
  it("reckon the cost exactly", () => {
    expect(notionalOf(ticket({ size: "0.1", price: "0.2" }), PRICE)).toBe("0.02");
    expect(notionalOf(ticket({ orderType: "MARKET", size: "2" }), PRICE)).toBe("120000.02");
    expect(notionalOf(ticket({ size: "" }), PRICE)).toBeNull();
  });

  it("take a share of what is free, never more", () => {
    expect(sizeOfShare(100, ticket({ price: "60000.00" }), BTC, PRICE, BALANCES)).toBe("0.01666");
    expect(sizeOfShare(50, ticket({ side: "SELL" }), BTC, PRICE, BALANCES)).toBe("0.06172");
    expect(sizeOfShare(50, ticket({}), BTC, PRICE, [])).toBeNull();
  });

  it("step prices and sizes", () => {
    expect(steppedPrice(ticket({ price: "60000.00" }), BTC, PRICE, -10)).toBe("59999.90");
    expect(steppedPrice(ticket({ price: "" }), BTC, PRICE, 1)).toBe("60000.00");
    expect(steppedPrice(ticket({ price: "", side: "SELL" }), BTC, PRICE, 1)).toBe("60000.01");
    expect(steppedSize(ticket({ size: "" }), BTC, 1)).toBe("0.00001");
  });
});

describe("the stages", () => {
  beforeEach(() => useTicket.setState({ ticket: ticket({}), stage: "edit", orderId: "" }));

  it("make one id per intent", () => {
    toStage("review");
    const first = useTicket.getState().orderId;
    expect(first).toMatch(/^manual-[A-Za-z0-9-]{1,29}$/);
    toStage("sent");
    expect(useTicket.getState().orderId).toBe(first);
    toStage("review");
    expect(useTicket.getState().orderId).not.toBe(first);
  });

  it("go back to writing when something changes", () => {
    toStage("review");
    edit({ size: "0.02" });
    expect(useTicket.getState().stage).toBe("edit");
  });

  it("drop post-only where it cannot be", () => {
    edit({ postOnly: true });
    edit({ timeInForce: "IOC" });
    expect(useTicket.getState().ticket.postOnly).toBe(false);
  });
});
