import { describe, expect, it } from "vitest";
import { href, parseRoute } from "./routes";
import { targetOf } from "./signs";

describe("addresses", () => {
  it("name a view, what it shows and how", () => {
    const route = parseRoute("#/orders/manual%2F1?side=BUY");
    expect([route.view, route.rest, route.query.get("side")]).toEqual(["orders", ["manual/1"], "BUY"]);
  });

  it("lead to the market when they say nothing", () => {
    expect(parseRoute("").view).toBe("market");
    expect(parseRoute("#/").view).toBe("market");
  });

  it("survive what nobody can decode", () => {
    expect(parseRoute("#/market/%E0%A4%A").rest).toEqual(["%E0%A4%A"]);
  });

  it("come back as they were written", () => {
    expect(parseRoute(href("market", "A B/C?D"))).toMatchObject({ view: "market", rest: ["A B/C?D"] });
  });
});

describe("where orders go", () => {
  it("is read from the part of the sentence that is about orders", () => {
    expect(targetOf("Orders go to the simulated venue at http://x")).toBe("simulated");
    expect(targetOf("Orders go to the simulated venue at x, market data comes from the REAL exchange at y")).toBe(
      "simulated",
    );
    expect(targetOf("Orders go to the REAL exchange at https://x")).toBe("real");
    expect(targetOf("Orders go to the testnet at https://x")).toBe("testnet");
    expect(targetOf("")).toBe("unknown");
  });
});
