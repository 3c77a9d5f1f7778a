/** What is read from the buses: one line for a topic and a group, however many read it. */

import type { BusRow, Subscription } from "./types";

export interface BusLine extends Subscription {
  plane: string;
  readers: number;
}

const COUNTED = ["delivered", "dropped_records", "gaps", "dead_lettered"] as const;

/** Counts of the readers of a line add up; of what waits, the reader that is furthest behind speaks. */
export function busLines(buses: readonly BusRow[]): BusLine[] {
  const lines = new Map<string, BusLine>();
  for (const { plane, subscriptions } of buses) {
    for (const one of subscriptions) {
      const key = `${plane} ${one.topic} ${one.group ?? ""}`;
      const line = lines.get(key);
      if (!line) {
        lines.set(key, { ...one, plane, readers: 1 });
        continue;
      }
      line.readers += 1;
      line.lag = Math.max(line.lag, one.lag);
      for (const name of COUNTED) line[name] += one[name];
    }
  }
  return [...lines.values()];
}
