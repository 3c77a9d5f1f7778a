/** Strategies as the api shows them. */

import type { Schema } from "./form";

export type StrategyState = "RUNNING" | "STOPPED" | "STARTING" | "STOPPING" | "FAILED" | "AWAY";

export interface Strategy {
  strategy_id: string;
  kind: string;
  service: string;
  state: StrategyState;
  reason: string;
  desired: string;
  policy: string;
  since: string;
  run: number | string;
  net_pnl?: string | null;
  currency?: string | null;
  version?: number;
}

export type Value = string | number | boolean | null;

export interface StrategyDetail extends Strategy {
  settings: Record<string, Value>;
  /** What it runs with now, where that is another than what it would start with. */
  settings_in_force?: Record<string, Value> | null;
  schema: Schema;
  version: number;
}

export interface LogLine {
  ts?: string;
  ts_event?: string;
  level: string;
  text: string;
  fields?: Record<string, unknown> | string | null;
  left_out?: number;
  event_id?: string;
}

export const POLICIES: Readonly<Record<string, { title: string; help: string }>> = {
  resume: {
    title: "Resume",
    help: "Go on with the positions that the store has; cancel orders that its own state does not know.",
  },
  flatten: {
    title: "Flatten",
    help: "Cancel all its orders, close its positions with reduce-only market orders, begin with a new state.",
  },
  adopt: {
    title: "Adopt",
    help: "Take positions and orders over as they are; the strategy decides what to do with them.",
  },
  hold: { title: "Hold", help: "Do nothing, and be not ready until it is started again with another policy." },
};
