/**
 * What the page knows of the platform's live state: a snapshot, kept up to date by deltas. It draws nothing and asks nothing;
 * each part has a version that rises when it changes.
 */

import type {
  Alert,
  Balance,
  Bar,
  Book,
  ChartPoint,
  Counters,
  Equity,
  EquityPoint,
  Fill,
  Health,
  Instrument,
  KillSwitch,
  Mark,
  Order,
  Position,
  Price,
  Trade,
  TradingState,
} from "../api/types";

export const MAX_TRADES = 100;
export const MAX_POINTS = 1_200;
export const MAX_ORDERS = 1_500;
export const MAX_FILLS = 500;
export const MAX_MARKS = 2_000;
export const MAX_CURVE = 2_000;
export const MAX_BARS = 2_000;
export const MAX_LOGS = 1_000;

export interface Parts {
  instruments: ReadonlyMap<string, Instrument>;
  prices: ReadonlyMap<string, Price>;
  book: Book | null;
  /** Newest first. */
  trades: readonly Trade[];
  chart: readonly ChartPoint[];
  marks: readonly Mark[];
  orders: ReadonlyMap<string, Order>;
  /** Oldest first. */
  fills: readonly Fill[];
  positions: readonly Position[];
  balances: readonly Balance[];
  equity: readonly Equity[];
  equity_points: readonly EquityPoint[];
  trading_states: readonly TradingState[];
  health: Health | null;
  counters: Counters | null;
  bars: readonly Bar[];
  kill_switches: readonly KillSwitch[];
  alerts: readonly Alert[];
  strategies: readonly Row[];
  /** Oldest first. */
  strategy_logs: readonly Row[];
  limits: readonly Row[];
  system: Row | null;
}

/** A row of a part whose view knows its shape. */
export type Row = Record<string, unknown>;
export type PartName = keyof Parts;
/** What a message's data holds. */
export type Data = Record<string, unknown>;

/** Parts that speak of the chosen instrument only: void when another is chosen. */
export const OF_INSTRUMENT: readonly PartName[] = ["book", "trades", "chart", "marks", "bars"];

export function emptyParts(): Parts {
  return {
    instruments: new Map(),
    prices: new Map(),
    book: null,
    trades: [],
    chart: [],
    marks: [],
    orders: new Map(),
    fills: [],
    positions: [],
    balances: [],
    equity: [],
    equity_points: [],
    trading_states: [],
    health: null,
    counters: null,
    bars: [],
    kill_switches: [],
    alerts: [],
    strategies: [],
    strategy_logs: [],
    limits: [],
    system: null,
  };
}

type Merge<Name extends PartName> = (before: Parts[Name], told: never) => Parts[Name];

const MERGES: { [Name in PartName]?: Merge<Name> } = {
  instruments: (before, told: Instrument[]) => keyed(before, told, (one) => one.instrument_id),
  prices: (before, told: Price[]) => keyed(before, told, (one) => one.instrument_id),
  trades: (before, told: Trade[]) => [...told.toReversed(), ...before].slice(0, MAX_TRADES),
  chart: (before, told: ChartPoint[]) => before.concat(told).slice(-MAX_POINTS),
  marks: (before, told: Mark[]) => before.concat(told).slice(-MAX_MARKS),
  orders: (before, told: Order[]) => bounded(keyed(before, told, (one) => one.client_order_id)),
  fills: (before, told: Fill[]) => before.concat(told).slice(-MAX_FILLS),
  equity_points: (before, told: EquityPoint[]) => before.concat(told).slice(-MAX_CURVE),
  bars: mergedBars,
  strategy_logs: (before, told: Row[]) => before.concat(told).slice(-MAX_LOGS),
};

/** A part after a message. What has no way of merging is told whole each time. */
export function merged<Name extends PartName>(name: Name, before: Parts[Name], told: unknown): Parts[Name] {
  const merge = MERGES[name];
  return merge ? merge(before, told as never) : (told as Parts[Name]);
}

function keyed<T>(before: ReadonlyMap<string, T>, told: T[], key: (one: T) => string): Map<string, T> {
  const after = new Map(before);
  for (const one of told) after.set(key(one), one);
  return after;
}

function bounded(orders: Map<string, Order>): Map<string, Order> {
  if (orders.size <= MAX_ORDERS) return orders;
  const closed = [...orders.values()]
    .filter((order) => !isUnfinished(order))
    .sort((a, b) => byTime(a.ts_last, b.ts_last));
  for (const order of closed.slice(0, orders.size - MAX_ORDERS)) orders.delete(order.client_order_id);
  return orders;
}

/** The last bar changes until its time is over, so a told bar replaces the one of the same time. */
export function mergedBars(before: readonly Bar[], told: readonly Bar[]): readonly Bar[] {
  const first = told[0];
  if (!first) return before;
  const last = before.at(-1);
  if (!last || byTime(last.ts, first.ts) < 0) return before.concat(told).slice(-MAX_BARS);
  const after = new Map(before.map((bar) => [bar.ts, bar]));
  for (const bar of told) after.set(bar.ts, bar);
  return [...after.values()].sort((a, b) => byTime(a.ts, b.ts)).slice(-MAX_BARS);
}

/** Nanosecond texts of one length compare as text, which loses no digit. */
export function byTime(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** Not closed, or nobody can tell. */
export function isUnfinished(order: Order): boolean {
  return !order.is_closed || order.outcome === "UNKNOWN";
}

/** The firm's trading state; a scope that nobody named is ACTIVE. */
export function stateOf(states: readonly TradingState[], scope: string): string {
  return states.find((one) => one.scope === scope)?.state ?? "ACTIVE";
}

/** Whether a kill switch is still engaged. */
export function isEngaged(one: KillSwitch): boolean {
  return one.released_at === null;
}
