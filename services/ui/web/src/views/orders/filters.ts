/** What of the orders and fills is shown: kept in the page's address, asked of the api, and applied to what the stream tells. */

import type { Query } from "../../api/client";
import type { Fill, Order } from "../../api/types";
import { byTime, isUnfinished } from "../../live/model";

export interface Filters {
  /** A status, `open`, or nothing. */
  status: string;
  strategy: string;
  instrument: string;
  side: string;
  search: string;
  /** A key of RANGES, `own` for `since` and `until`, or nothing. */
  range: string;
  /** As the browser's field for date and time writes it: local time. */
  since: string;
  until: string;
}

export const NO_FILTERS: Filters = {
  status: "",
  strategy: "",
  instrument: "",
  side: "",
  search: "",
  range: "",
  since: "",
  until: "",
};

export const RANGES: Readonly<Record<string, { title: string; minutes: number }>> = {
  "5m": { title: "Last 5 min", minutes: 5 },
  "1h": { title: "Last hour", minutes: 60 },
  "24h": { title: "Last 24 h", minutes: 1_440 },
  "7d": { title: "Last 7 days", minutes: 10_080 },
};

export const STATUSES = [
  "ACCEPTED",
  "PARTIALLY_FILLED",
  "PENDING_CANCEL",
  "PENDING_UPDATE",
  "SUBMITTED",
  "INITIALIZED",
  "TRIGGERED",
  "FILLED",
  "CANCELED",
  "EXPIRED",
  "REJECTED",
  "DENIED",
] as const;

const NAMES = Object.keys(NO_FILTERS) as (keyof Filters)[];

export function filtersOf(query: URLSearchParams): Filters {
  const found = { ...NO_FILTERS };
  for (const name of NAMES) found[name] = query.get(name) ?? "";
  return found;
}

/** `query` with these filters in it; what else it holds stays. */
export function withFilters(query: URLSearchParams, filters: Filters): URLSearchParams {
  const after = new URLSearchParams(query);
  for (const name of NAMES) {
    if (filters[name]) after.set(name, filters[name]);
    else after.delete(name);
  }
  return after;
}

export function isFiltered(filters: Filters): boolean {
  return NAMES.some((name) => filters[name] !== "");
}

export interface Span {
  since: string | null;
  until: string | null;
}

/** From when until when, in ns as text. A relative range begins at a whole minute, so that the same question stays the same. */
export function spanOf(filters: Filters, nowMs: number): Span {
  const minutes = RANGES[filters.range]?.minutes;
  if (minutes) return { since: nanoseconds((Math.floor(nowMs / 60_000) - minutes) * 60_000), until: null };
  if (filters.range !== "own") return { since: null, until: null };
  return { since: nanoseconds(Date.parse(filters.since)), until: nanoseconds(Date.parse(filters.until)) };
}

function nanoseconds(ms: number): string | null {
  return Number.isFinite(ms) ? (BigInt(Math.round(ms)) * 1_000_000n).toString() : null;
}

/** The same filters as the api names them. */
export function askedOf(filters: Filters, span: Span, kind: "orders" | "fills"): Query {
  return {
    ...(kind === "orders" ? { status: filters.status } : {}),
    strategy_id: filters.strategy,
    instrument_id: filters.instrument,
    side: filters.side,
    search: filters.search.trim(),
    since: span.since,
    until: span.until,
  };
}

export function orderFits(order: Order, filters: Filters, span: Span): boolean {
  if (filters.status === "open" ? !isUnfinished(order) : filters.status && order.status !== filters.status)
    return false;
  return isShared(order, filters, span, order.ts_init) && textFits(orderTexts(order), filters.search);
}

export function fillFits(fill: Fill, filters: Filters, span: Span): boolean {
  const texts = [fill.trade_id, fill.client_order_id, fill.strategy_id, fill.instrument_id];
  return isShared(fill, filters, span, fill.ts_event) && textFits(texts, filters.search);
}

function isShared(
  row: { strategy_id: string; instrument_id: string; side: string },
  filters: Filters,
  span: Span,
  ts: string,
): boolean {
  return (
    (!filters.strategy || row.strategy_id === filters.strategy) &&
    (!filters.instrument || row.instrument_id === filters.instrument) &&
    (!filters.side || row.side === filters.side) &&
    (!span.since || byTime(ts, span.since) >= 0) &&
    (!span.until || byTime(ts, span.until) < 0)
  );
}

function orderTexts(order: Order): readonly (string | null)[] {
  return [
    order.client_order_id,
    order.venue_order_id,
    order.strategy_id,
    order.instrument_id,
    order.correlation_id,
    order.reason,
  ];
}

function textFits(texts: readonly (string | null)[], search: string): boolean {
  const wanted = search.trim().toLowerCase();
  return !wanted || texts.some((text) => text?.toLowerCase().includes(wanted));
}

/**
 * What was asked for page by page and what the stream tells, as one list, newest first. Of an order that both know, the later
 * word counts, and only then is looked whether it fits.
 */
export function mergedOrders(
  paged: readonly Order[],
  live: ReadonlyMap<string, Order>,
  fits: (order: Order) => boolean,
): Order[] {
  const found = new Map<string, Order>();
  for (const order of paged) found.set(order.client_order_id, order);
  for (const order of live.values()) {
    const known = found.get(order.client_order_id);
    if (!known || byTime(order.ts_last, known.ts_last) >= 0) found.set(order.client_order_id, order);
  }
  return [...found.values()].filter(fits).sort((a, b) => byTime(b.ts_init, a.ts_init));
}

export function mergedFills(paged: readonly Fill[], live: readonly Fill[], fits: (fill: Fill) => boolean): Fill[] {
  const found = new Map<string, Fill>();
  for (const fill of paged) found.set(fillKey(fill), fill);
  for (const fill of live) found.set(fillKey(fill), fill);
  return [...found.values()].filter(fits).sort((a, b) => byTime(b.ts_event, a.ts_event));
}

export function fillKey(fill: Fill): string {
  return `${fill.account_id} ${fill.trade_id} ${fill.client_order_id}`;
}
