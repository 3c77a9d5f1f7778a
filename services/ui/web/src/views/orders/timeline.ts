/** An order's story as a picture: where each step stands on a line, and how long it took from the one before. */

export interface Step {
  step: string;
  ts: string;
  since_previous_ns: string | number | null;
  event_id: string | null;
  note: string | null;
}

export interface Placed {
  step: Step;
  /** 0 to 1. */
  at: number;
  /** From the step before, in ns; 0 for the first. */
  tookNs: number;
}

export interface Timeline {
  steps: readonly Placed[];
  totalNs: number;
  /** Lengths stand for the logarithm of times, because some are thousands of times longer than others. */
  isLog: boolean;
}

const LOG_FROM = 40;
/** Nothing is drawn shorter than this part of the line, so that each step can be seen. */
const LEAST = 0.02;

export function placed(steps: readonly Step[]): Timeline {
  const took = steps.map((step, index) => gap(step, steps[index - 1]));
  const gaps = took.slice(1);
  const known = gaps.filter((ns) => ns > 0);
  const isLog = known.length > 1 && Math.max(...known) > LOG_FROM * Math.min(...known);
  const lengths = gaps.map((ns) => (isLog ? Math.log10(1 + ns / 1_000) : ns));
  const whole = lengths.reduce((sum, one) => sum + one, 0) || 1;
  const parts = lengths.map((one) => Math.max(LEAST, one / whole));
  const sum = parts.reduce((total, one) => total + one, 0) || 1;
  let at = 0;
  return {
    isLog,
    totalNs: gaps.reduce((total, one) => total + one, 0),
    steps: steps.map((step, index) => {
      if (index > 0) at += (parts[index - 1] ?? 0) / sum;
      return { step, at: Math.min(1, at), tookNs: took[index] ?? 0 };
    }),
  };
}

function gap(step: Step, before: Step | undefined): number {
  if (!before) return 0;
  const told = step.since_previous_ns;
  const ns = told === null ? Number(BigInt(step.ts) - BigInt(before.ts)) : Number(told);
  // Clocks of two computers may disagree; a step never takes less than no time.
  return Math.max(0, ns);
}

/** How long, with the unit that fits: "8.2 µs", "1.34 ms", "2.1 s", "4 min 10 s". */
export function took(ns: number): string {
  if (ns < 1_000) return `${Math.round(ns)} ns`;
  if (ns < 1_000_000) return `${digits(ns / 1_000)} \u00B5s`;
  if (ns < 1_000_000_000) return `${digits(ns / 1_000_000)} ms`;
  const seconds = ns / 1_000_000_000;
  if (seconds < 120) return `${digits(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function digits(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** What of a second stands after its time of day: ".042 317", milliseconds and microseconds. */
export function fractionOf(ns: string): string {
  const rest = ns.slice(-9).padStart(9, "0");
  return `.${rest.slice(0, 3)}\u2009${rest.slice(3, 6)}`;
}

const TITLES: Record<string, string> = {
  tick: "Market data came",
  intent: "The strategy decided",
  risk: "Risk was checked",
  commit: "Written to the store",
  send: "Sent to the venue",
  venue: "At the venue, by its clock",
  ack: "Told by the venue",
  fill: "Filled",
  cancel: "Cancel asked for",
  unknown: "Outcome unknown",
  resolved: "Outcome known again",
  end: "Ended",
  denied: "Denied by us",
  rejected: "Rejected",
};

export function titleOf(step: string): string {
  return TITLES[step.toLowerCase()] ?? step.replaceAll("_", " ");
}

/** The colour of a step: what was good, what was not, what is on its way. */
export function toneOf(step: string): "good" | "bad" | "warn" | "calm" {
  const name = step.toLowerCase();
  if (name.startsWith("fill")) return "good";
  if (/denied|reject|unknown/.test(name)) return "bad";
  return /cancel|expire/.test(name) ? "warn" : "calm";
}
