/** Numbers, times and states as they stand in every view. */

import { memo, useEffect, useState, type ReactElement } from "react";
import { usePreferences } from "../app/preferences";
import {
  clockTime,
  dateTime,
  direction,
  duration,
  milliseconds,
  number,
  signed,
  trimmed,
  words,
} from "../money/format";

/** A number from decimal text. `decimals` rounds; without them all that are there but zeros at the end. */
export const Amount = memo(function Amount({
  value,
  decimals,
  unit,
}: {
  value: string | null | undefined;
  decimals?: number;
  unit?: string;
}): ReactElement {
  return (
    <span className="amount">
      {decimals === undefined ? trimmed(value) : number(value, decimals)}
      {unit && value !== null && value !== undefined ? <span className="unit"> {unit}</span> : null}
    </span>
  );
});

/** A price, with all decimals that the platform gave it: on its step, so that prices stand under each other. */
export const PriceText = memo(function PriceText({ value }: { value: string | null | undefined }): ReactElement {
  return <span className="amount">{number(value)}</span>;
});

/** Profit or loss: sign and arrow say what colour says, so that nobody needs the colour. */
export const Money = memo(function Money({
  value,
  decimals = 2,
  unit,
}: {
  value: string | null | undefined;
  decimals?: number;
  unit?: string;
}): ReactElement {
  const shown = signed(value, decimals);
  // What is nothing after rounding has no direction.
  const way = /[1-9]/.test(shown) ? direction(value) : 0;
  const tone = way > 0 ? "up" : way < 0 ? "down" : "flat";
  return (
    <span className={`amount money ${tone}`}>
      {shown}
      {unit && value ? <span className="unit"> {unit}</span> : null}
    </span>
  );
});

/** Time of day in the chosen zone, the whole date and nanoseconds in its title. */
export const Time = memo(function Time({
  ns,
  withDate = false,
}: {
  ns: string | null | undefined;
  withDate?: boolean;
}): ReactElement {
  const zone = usePreferences((now) => now.zone);
  if (!ns || ns === "0") return <span className="soft">{"\u2013"}</span>;
  const ms = milliseconds(ns);
  return (
    <time dateTime={new Date(ms).toISOString()} title={`${dateTime(ms, "UTC")} UTC, ${ns} ns`}>
      {withDate ? dateTime(ms, zone) : clockTime(ms, zone)}
    </time>
  );
});

/** How long ago, kept up to date once a second. */
export function Age({ ns }: { ns: string | null | undefined }): ReactElement {
  const now = useNow();
  return <span className="amount">{ns ? duration(now - milliseconds(ns)) : "\u2013"}</span>;
}

/** The time in ms, once a second. */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export const SideTag = memo(function SideTag({ side }: { side: string }): ReactElement {
  const buy = side === "BUY";
  return (
    <span className={buy ? "side up" : "side down"}>
      <span aria-hidden="true">{buy ? "\u25B2" : "\u25BC"}</span> {buy ? "Buy" : "Sell"}
    </span>
  );
});

export type Tone = "good" | "warn" | "bad" | "calm" | "off";

const TONES: Record<string, Tone> = {
  ACTIVE: "good",
  REDUCING: "warn",
  HALTED: "bad",
  READY: "good",
  LIVE: "good",
  SYNCED: "good",
  RUNNING: "good",
  STARTING: "warn",
  STOPPING: "warn",
  STOPPED: "off",
  FAILED: "bad",
  AWAY: "bad",
  DENIED: "bad",
  REJECTED: "bad",
  UNKNOWN: "bad",
  SUBMITTED: "calm",
  ACCEPTED: "calm",
  PARTIALLY_FILLED: "calm",
  PENDING_CANCEL: "warn",
  PENDING_UPDATE: "warn",
  FILLED: "good",
  CANCELED: "off",
  EXPIRED: "off",
  OPEN: "bad",
  ACKNOWLEDGED: "warn",
  RESOLVED: "good",
  CRITICAL: "bad",
  WARNING: "warn",
  INFO: "calm",
};

/** A state in words, with a sign beside the colour. */
export const StatusBadge = memo(function StatusBadge({
  state,
  tone,
  label,
}: {
  state: string;
  tone?: Tone;
  label?: string;
}): ReactElement {
  return <span className={`badge ${tone ?? TONES[state.toUpperCase()] ?? "calm"}`}>{label ?? words(state)}</span>;
});
