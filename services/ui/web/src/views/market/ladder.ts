/** The arithmetic of the depth ladder: levels put together, summed up, and where our orders are. Exact. */

import type { Level, Order } from "../../api/types";
import { isUnfinished } from "../../live/model";
import { add, compare, decimal, subtract, text, type Decimal } from "../../money/decimal";

export interface LadderLevel {
  price: string;
  size: string;
  /** Of this level and all better ones. */
  sum: string;
  /** The sum as a share of the whole side that is shown; for its bar. */
  share: number;
  /** What of ours is left at it; empty when nothing. */
  ours: string;
}

/** The price of the group that a level belongs to: bids go down to it, asks up, so that a group never looks better than it is. */
function groupOf(price: Decimal, step: Decimal, isBid: boolean): Decimal {
  const scale = Math.max(price.scale, step.scale);
  const mantissa = price.mantissa * 10n ** BigInt(scale - price.scale);
  const width = step.mantissa * 10n ** BigInt(scale - step.scale);
  if (width === 0n) return price;
  const rest = mantissa % width;
  if (rest === 0n) return { mantissa, scale };
  return { mantissa: isBid ? mantissa - rest : mantissa - rest + width, scale };
}

/** Best first, at most `rows`. `step` is the width of a group; of the price increment itself nothing is put together. */
export function ladderOf(
  levels: readonly Level[],
  isBid: boolean,
  step: string,
  rows: number,
  ours: ReadonlyMap<string, string>,
): LadderLevel[] {
  const width = decimal(step);
  const groups: { price: Decimal; size: Decimal; ours: Decimal | null }[] = [];
  for (const [price, size] of levels) {
    const at = groupOf(decimal(price), width, isBid);
    const mine = ours.get(price);
    const last = groups.at(-1);
    if (last && compare(last.price, at) === 0) {
      last.size = add(last.size, decimal(size));
      if (mine) last.ours = last.ours ? add(last.ours, decimal(mine)) : decimal(mine);
      continue;
    }
    if (groups.length === rows) break;
    groups.push({ price: at, size: decimal(size), ours: mine ? decimal(mine) : null });
  }
  let sum: Decimal = { mantissa: 0n, scale: 0 };
  const shown = groups.map((group) => {
    sum = add(sum, group.size);
    return {
      price: text(group.price),
      size: text(group.size),
      sum: text(sum),
      ours: group.ours ? text(group.ours) : "",
    };
  });
  const whole = Number(text(sum)) || 1;
  return shown.map((level) => ({ ...level, share: Number(level.sum) / whole }));
}

/** What is left of our resting orders, by price and side. */
export function oursBy(
  orders: Iterable<Order>,
  instrumentId: string,
): { bids: Map<string, string>; asks: Map<string, string> } {
  const sides = { bids: new Map<string, string>(), asks: new Map<string, string>() };
  for (const order of orders) {
    if (order.instrument_id !== instrumentId || order.price === null || !isUnfinished(order)) continue;
    const side = order.side === "BUY" ? sides.bids : sides.asks;
    const left = subtract(decimal(order.size), decimal(order.filled_size));
    const before = side.get(order.price);
    side.set(order.price, text(before ? add(decimal(before), left) : left));
  }
  return sides;
}
