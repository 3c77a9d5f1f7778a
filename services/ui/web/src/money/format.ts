/** How numbers and times are written. Text in, text out; nothing is reckoned with floats. */

import { decimalsOf, parse, rounded, text } from "./decimal";

const MINUS = "\u2212";
const NONE = "\u2013";

/** Digits in groups of three, a true minus sign, `decimals` decimals (rounded); a dash for what is not there. */
export function number(value: string | null | undefined, decimals?: number): string {
  if (value === null || value === undefined) return NONE;
  const exact = parse(value);
  if (!exact) return value;
  const plain = text(decimals === undefined ? exact : rounded(exact, decimals));
  const [whole = "0", fraction] = plain.replace("-", "").split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const isZero = /^[0.]*$/.test(plain.replace("-", ""));
  return (plain.startsWith("-") && !isZero ? MINUS : "") + grouped + (fraction === undefined ? "" : `.${fraction}`);
}

/** As number, with a plus sign before a gain. */
export function signed(value: string | null | undefined, decimals = 2): string {
  const shown = number(value, decimals);
  return direction(value) > 0 && !/^[0.]*$/.test(shown) ? `+${shown}` : shown;
}

/** As number, without zeros at the end, but never fewer than `least` decimals. */
export function trimmed(value: string | null | undefined, least = 0): string {
  if (value === null || value === undefined) return NONE;
  return number(value, Math.max(least, decimalsOf(value)));
}

/** -1, 0 or 1. */
export function direction(value: string | null | undefined): number {
  if (value === null || value === undefined) return 0;
  const exact = parse(value);
  if (!exact || exact.mantissa === 0n) return 0;
  return exact.mantissa < 0n ? -1 : 1;
}

/** "PARTIALLY_FILLED" as people write it: "Partially filled". */
export function words(name: string): string {
  const plain = name.toLowerCase().replaceAll("_", " ");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** Nanoseconds as text to milliseconds; good to a microsecond, for showing. */
export function milliseconds(ns: string): number {
  return Number(ns) / 1e6;
}

/** How long: "4 s", "12 min", "3 h", "2 d". */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms / 1_000);
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5_400) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

export type Zone = "local" | "UTC";

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: Zone, withDate: boolean): Intl.DateTimeFormat {
  const key = `${zone} ${withDate}`;
  let format = formats.get(key);
  if (!format) {
    const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
    const date = withDate ? ({ year: "numeric", month: "2-digit", day: "2-digit" } as const) : {};
    format = new Intl.DateTimeFormat("sv-SE", { ...clock, ...date, ...(zone === "UTC" ? { timeZone: "UTC" } : {}) });
    formats.set(key, format);
  }
  return format;
}

/** Time of day, HH:MM:SS. */
export function clockTime(ms: number, zone: Zone): string {
  return Number.isFinite(ms) ? formatOf(zone, false).format(ms) : NONE;
}

/** Date and time of day, YYYY-MM-DD HH:MM:SS. */
export function dateTime(ms: number, zone: Zone): string {
  return Number.isFinite(ms) ? formatOf(zone, true).format(ms) : NONE;
}
