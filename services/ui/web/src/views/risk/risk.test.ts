import { describe, expect, it } from "vitest";
import type { KillSwitch } from "../../api/types";
import { releaseRefusal, stagesOf, typedName } from "./kill";
import { kindsOf, percent, shareOf, sorted, type Limit } from "./limits";

function limit(scope: string, share: number | string | null, more: Partial<Limit> = {}): Limit {
  return { scope, name: "max_position_notional", used: "1", limit: "4", share, unit: "USDT", tripped: false, ...more };
}

function kill(more: Partial<KillSwitch> = {}): KillSwitch {
  return {
    kill_id: 1,
    scope: "firm",
    stage: "CANCELING",
    flatten: false,
    reason: "",
    engaged_by: "rita",
    engaged_why: "x",
    engaged_at: "1",
    stage_at: "1",
    proven_at: null,
    positions: [],
    dust: [],
    balances: [],
    released_by: null,
    released_why: null,
    released_at: null,
    forced: false,
    ...more,
  };
}

describe("limits", () => {
  it("stand by their share, what tripped before all", () => {
    const rows = sorted([
      limit("firm", 0.2),
      limit("account:a", "0.95"),
      limit("strategy:s", 0.1, { tripped: true }),
      limit("instrument:i", 0.7),
    ]);
    expect(rows.map((row) => `${row.limit.scope} ${row.tone}`)).toEqual([
      "strategy:s bad",
      "account:a bad",
      "instrument:i warn",
      "firm calm",
    ]);
  });

  it("reckon a share that is not told, and take nonsense for none", () => {
    expect(shareOf(limit("firm", null))).toBe(0.25);
    expect(shareOf(limit("firm", null, { limit: "0" }))).toBe(0);
    expect(shareOf(limit("firm", -1))).toBe(0);
  });

  it("are written as a person reads them", () => {
    expect([percent(0), percent(0.0001), percent(0.0512), percent(0.5), percent(1.2)]).toEqual([
      "0.0 %",
      "under 0.1 %",
      "5.1 %",
      "50 %",
      "120 %",
    ]);
    expect(kindsOf([limit("strategy:a", 0), limit("order", 0), limit("firm", 0)])).toEqual([
      "firm",
      "strategy",
      "order",
    ]);
  });
});

describe("a kill switch", () => {
  it("shows its stages, closing only when it was asked for", () => {
    expect(stagesOf(kill()).map((one) => one.state)).toEqual(["done", "now", "ahead", "ahead"]);
    expect(stagesOf(kill({ flatten: true, stage: "VERIFYING" })).map((one) => one.state)).toEqual([
      "done",
      "done",
      "done",
      "now",
      "ahead",
    ]);
    expect(stagesOf(kill({ stage: "FLAT" })).every((one) => one.state === "done")).toBe(true);
    expect(stagesOf(kill({ stage: "STUCK" })).map((one) => one.state)).toEqual(["done", "ahead", "ahead", "ahead"]);
  });

  it("is released by another person than the one who engaged it", () => {
    expect(releaseRefusal(kill(), "rita")).toContain("second person");
    expect(releaseRefusal(kill(), "ruben")).toBeNull();
    expect(releaseRefusal(kill({ released_at: "5" }), "ruben")).toContain("already");
  });

  it("is confirmed by the name of its scope", () => {
    expect([typedName("firm"), typedName("strategy:ema-cross"), typedName("instrument:BTCUSDT.SIM")]).toEqual([
      "firm",
      "ema-cross",
      "BTCUSDT.SIM",
    ]);
  });
});
