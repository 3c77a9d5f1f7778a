import { describe, expect, it } from "vitest";
import { busLines } from "./buses";
import { pageName } from "./pages";
import { toneOf, topologyOf, worstFirst } from "./topology";

const service = (name: string, state = "ready") => ({ name, state, ready: state === "ready" });

describe("the picture of the system", () => {
  it("goes from the venue to the page, without columns that nobody stands in", () => {
    const all = ["api", "execution", "market-data", "strategy-a", "strategy-b", "sim-venue"].map((name) =>
      service(name),
    );
    const topology = topologyOf(all);
    const x = Object.fromEntries(topology.nodes.map((node) => [node.service.name, node.x]));
    const order = ["sim-venue", "market-data", "strategy-a", "execution", "api"].map((name) => x[name] ?? -1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(x["strategy-a"]).toBe(x["strategy-b"]);
    expect(topology.edges).toContainEqual({ from: "market-data", to: "strategy-b" });
    expect(topology.edges).toContainEqual({ from: "strategy-a", to: "execution" });
    expect(topology.edges.some((edge) => edge.from === "risk")).toBe(false);
    expect(topologyOf([]).nodes).toEqual([]);
    expect(topologyOf([]).width).toBeGreaterThan(0);
  });

  it("never draws two boxes on each other", () => {
    const topology = topologyOf(
      ["strategy-a", "strategy-b", "strategy-c", "nobody-knows", "api"].map((name) => service(name)),
    );
    const places = topology.nodes.map((node) => `${node.x} ${node.y}`);
    expect(new Set(places).size).toBe(places.length);
  });

  it("shows what is not ready first", () => {
    const all = [service("a"), service("b", "starting"), service("c", "failed")];
    expect(worstFirst(all).map((one) => `${one.name} ${toneOf(one)}`)).toEqual(["c bad", "b warn", "a good"]);
  });
});

describe("the lines of the buses", () => {
  const read = (topic: string, group: string | null, lag: number) => ({
    topic,
    group,
    lag,
    delivered: 10,
    dropped_records: 1,
    gaps: 0,
    dead_lettered: 0,
  });

  it("are one for a topic and a group, with the lag of the reader that is furthest behind", () => {
    const subscriptions = [
      read("orders.events", "a", 3),
      read("orders.events", "a", 7),
      read("orders.events", null, 0),
    ];
    const lines = busLines([{ plane: "orders", published: 1, publish_waits: 0, subscriptions }]);
    expect(lines.map(({ group, readers, lag, delivered }) => [group, readers, lag, delivered])).toEqual([
      ["a", 2, 7, 20],
      [null, 1, 0, 10],
    ]);
  });
});

describe("the page of an alert", () => {
  it("is known by its file's name", () => {
    expect(pageName("docs/operating/kill-switch.md")).toBe("kill-switch");
    expect(pageName("docs/operating/unknown-order.md#look")).toBe("unknown-order");
    expect(pageName("")).toBe("");
  });
});
