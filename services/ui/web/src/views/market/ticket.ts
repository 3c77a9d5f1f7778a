/** What stands in the order ticket, and whether it can be an order. Exact decimals only; no element, no request. */

import { create } from "zustand";
import type { Balance, Instrument, Price, Side } from "../../api/types";
import {
  compare,
  decimal,
  divideToStep,
  isOnStep,
  moveBySteps,
  multiply,
  parse,
  text,
  type Decimal,
} from "../../money/decimal";

export type OrderType = "LIMIT" | "MARKET";
export type TimeInForce = "GTC" | "IOC" | "FOK";

export interface Ticket {
  side: Side;
  orderType: OrderType;
  price: string;
  size: string;
  timeInForce: TimeInForce;
  postOnly: boolean;
  reduceOnly: boolean;
}

/** The body of POST /orders and /orders/preview. */
export interface NewOrder {
  instrument_id: string;
  side: Side;
  order_type: OrderType;
  size: string;
  price?: string;
  time_in_force: TimeInForce;
  post_only: boolean;
  reduce_only: boolean;
  client_order_id?: string;
}

export type Stage = "edit" | "review" | "sent";

interface TicketState {
  ticket: Ticket;
  stage: Stage;
  /** One per intent, made when it is reviewed: sending it twice makes one order. */
  orderId: string;
}

export const EMPTY: Ticket = {
  side: "BUY",
  orderType: "LIMIT",
  price: "",
  size: "",
  timeInForce: "GTC",
  postOnly: false,
  reduceOnly: false,
};

export const useTicket = create<TicketState>(() => ({ ticket: EMPTY, stage: "edit", orderId: "" }));

/** Change what is being written. What was reviewed is not what is written any more. */
export function edit(change: Partial<Ticket>): void {
  useTicket.setState((now) => ({ ticket: fitting({ ...now.ticket, ...change }), stage: "edit" }));
}

/** Post-only rests, so it goes with a limit that waits; a market order never waits. */
function fitting(ticket: Ticket): Ticket {
  const mayRest = ticket.orderType === "LIMIT" && ticket.timeInForce === "GTC";
  return { ...ticket, postOnly: ticket.postOnly && mayRest };
}

export function toStage(stage: Stage): void {
  useTicket.setState(stage === "review" ? { stage, orderId: newOrderId() } : { stage });
}

/** Another instrument: its prices are not this one's. */
export function emptyTicket(): void {
  useTicket.setState((now) => ({ ticket: { ...now.ticket, price: "", size: "" }, stage: "edit", orderId: "" }));
}

function newOrderId(): string {
  const random = crypto.getRandomValues(new Uint32Array(2));
  const tail = [...random].map((part) => part.toString(36).padStart(7, "0")).join("");
  return `manual-${Date.now().toString(36)}-${tail}`;
}

export interface Problems {
  price?: string;
  size?: string;
}

/** What must change before it can be an order; empty when nothing. The platform checks again. */
export function problemsOf(ticket: Ticket, instrument: Instrument): Problems {
  const problems: Problems = {};
  const size = parse(ticket.size);
  if (!size) problems.size = ticket.size.trim() ? "Write a number, such as 0.01" : "How much?";
  else problems.size = sizeProblem(size, instrument);
  if (ticket.orderType === "LIMIT") {
    const price = parse(ticket.price);
    if (!price) problems.price = ticket.price.trim() ? "Write a number, such as 100.5" : "At which price?";
    else problems.price = priceProblem(price, instrument);
    if (price && size && !problems.price && !problems.size) problems.size = notionalProblem(price, size, instrument);
  }
  if (problems.price === undefined) delete problems.price;
  if (problems.size === undefined) delete problems.size;
  return problems;
}

function sizeProblem(size: Decimal, instrument: Instrument): string | undefined {
  if (size.mantissa <= 0n) return "More than 0";
  if (!isOnStep(size, decimal(instrument.size_increment))) return `In steps of ${plain(instrument.size_increment)}`;
  if (compare(size, decimal(instrument.min_size)) < 0) return `At least ${plain(instrument.min_size)}`;
  if (compare(size, decimal(instrument.max_size)) > 0) return `At most ${plain(instrument.max_size)}`;
  return undefined;
}

function priceProblem(price: Decimal, instrument: Instrument): string | undefined {
  if (price.mantissa <= 0n) return "More than 0";
  if (!isOnStep(price, decimal(instrument.price_increment))) return `In steps of ${plain(instrument.price_increment)}`;
  if (compare(price, decimal(instrument.max_price)) > 0) return `At most ${plain(instrument.max_price)}`;
  return undefined;
}

function notionalProblem(price: Decimal, size: Decimal, instrument: Instrument): string | undefined {
  if (compare(multiply(price, size), decimal(instrument.min_notional)) >= 0) return undefined;
  return `Price times size must be at least ${plain(instrument.min_notional)} ${instrument.quote_currency}`;
}

/** Without zeros at the end: "0.00001000" is "0.00001". */
export function plain(value: string): string {
  return value.includes(".") ? value.replace(/\.?0+$/, "") : value;
}

/** What is sent. Call it only when there are no problems. */
export function orderOf(ticket: Ticket, instrument: Instrument, orderId?: string): NewOrder {
  const order: NewOrder = {
    instrument_id: instrument.instrument_id,
    side: ticket.side,
    order_type: ticket.orderType,
    size: text(decimal(ticket.size)),
    time_in_force: ticket.timeInForce,
    post_only: ticket.postOnly,
    reduce_only: ticket.reduceOnly,
  };
  if (ticket.orderType === "LIMIT") order.price = text(decimal(ticket.price));
  if (orderId) order.client_order_id = orderId;
  return order;
}

/** The price it would trade at as things are: its limit, or the other side's best. */
export function expectedPrice(ticket: Ticket, price: Price | undefined): string | null {
  if (ticket.orderType === "LIMIT") return parse(ticket.price) ? ticket.price : null;
  return (ticket.side === "BUY" ? price?.ask : price?.bid) ?? null;
}

/** Price times size, exact; null while one of them is missing. */
export function notionalOf(ticket: Ticket, price: Price | undefined): string | null {
  const at = expectedPrice(ticket, price);
  const size = parse(ticket.size);
  const exact = at === null ? null : parse(at);
  return exact && size ? text(multiply(exact, size)) : null;
}

/** A share of what is free, in whole steps: of the quote currency to buy with, of the base currency to sell. */
export function sizeOfShare(
  percent: number,
  ticket: Ticket,
  instrument: Instrument,
  price: Price | undefined,
  balances: readonly Balance[],
): string | null {
  const currency = ticket.side === "BUY" ? instrument.quote_currency : instrument.base_currency;
  const free = balances.find((one) => one.currency === currency)?.free;
  const exact = free === undefined ? null : parse(free);
  if (!exact || exact.mantissa <= 0n) return null;
  const share = multiply(exact, { mantissa: BigInt(percent), scale: 2 });
  const step = decimal(instrument.size_increment);
  if (ticket.side === "SELL") return plain(text(divideToStep(share, { mantissa: 1n, scale: 0 }, step)));
  const at = parse(expectedPrice(ticket, price) ?? "");
  return at && at.mantissa > 0n ? plain(text(divideToStep(share, at, step))) : null;
}

/** The price by some steps up or down; from an empty field, the best price of the ticket's own side. */
export function steppedPrice(ticket: Ticket, instrument: Instrument, price: Price | undefined, steps: number): string {
  const now = parse(ticket.price);
  if (!now) return (ticket.side === "BUY" ? price?.bid : price?.ask) ?? "";
  return fixedTo(moveBySteps(now, decimal(instrument.price_increment), steps), instrument.price_increment);
}

export function steppedSize(ticket: Ticket, instrument: Instrument, steps: number): string {
  const step = decimal(instrument.size_increment);
  const now = parse(ticket.size) ?? { mantissa: 0n, scale: 0 };
  return plain(text(moveBySteps(now, step, steps)));
}

function fixedTo(value: Decimal, step: string): string {
  const decimals = (plain(step).split(".")[1] ?? "").length;
  const [whole = "0", fraction = ""] = text(value).split(".");
  return decimals ? `${whole}.${fraction.padEnd(decimals, "0").slice(0, decimals)}` : whole;
}
