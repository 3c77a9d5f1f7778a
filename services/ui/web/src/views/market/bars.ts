/** Bars of the store and of the stream as one row, and what of it a chart has not drawn yet. */

import type { Bar } from "../../api/types";
import { byTime } from "../../live/model";

export const INTERVALS = ["1s", "1m", "5m", "15m", "1h", "1d"] as const;

export type Interval = (typeof INTERVALS)[number];

const SECONDS: Record<Interval, number> = { "1s": 1, "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400 };

export function secondsOf(interval: Interval): number {
  return SECONDS[interval];
}

/** A length that somebody once chose, if it still is one. */
export function intervalOf(text: string): Interval | null {
  return INTERVALS.find((one) => one === text) ?? null;
}

/** Whole seconds of a bar's time, as the chart counts. */
export function barSecond(ts: string): number {
  return Number(BigInt(ts) / 1_000_000_000n);
}

/** The bars a chart shows, oldest first; a later told one replaces that of the same time. */
export class BarRow {
  private bars: Bar[] = [];

  get all(): readonly Bar[] {
    return this.bars;
  }

  clear(): void {
    this.bars = [];
  }

  /**
   * Take bars in any order. Answers the ones that a chart only has to append or replace at its end, oldest first, or null
   * when something before its end came in and all must be drawn anew.
   */
  take(told: readonly Bar[]): Bar[] | null {
    const last = this.bars.at(-1);
    const sorted = [...told].sort((a, b) => byTime(a.ts, b.ts));
    const first = sorted[0];
    if (!first) return [];
    if (last && byTime(first.ts, last.ts) >= 0) return this.extend(sorted);
    const byTs = new Map(this.bars.map((bar) => [bar.ts, bar]));
    const before = byTs.size;
    const changed: Bar[] = [];
    for (const bar of sorted) {
      if (!isSame(byTs.get(bar.ts), bar)) changed.push(bar);
      byTs.set(bar.ts, bar);
    }
    if (!changed.length) return [];
    const firstChanged = changed[0];
    this.bars = [...byTs.values()].sort((a, b) => byTime(a.ts, b.ts));
    const isAtEnd =
      before > 0 && last !== undefined && firstChanged !== undefined && byTime(firstChanged.ts, last.ts) >= 0;
    return isAtEnd ? changed : null;
  }

  private extend(sorted: readonly Bar[]): Bar[] {
    const changed: Bar[] = [];
    for (const bar of sorted) {
      const last = this.bars.at(-1);
      if (last && last.ts === bar.ts) {
        if (isSame(last, bar)) continue;
        this.bars[this.bars.length - 1] = bar;
      } else this.bars.push(bar);
      changed.push(bar);
    }
    return changed;
  }
}

function isSame(a: Bar | undefined, b: Bar): boolean {
  return a !== undefined && a.close === b.close && a.high === b.high && a.low === b.low && a.volume === b.volume;
}
