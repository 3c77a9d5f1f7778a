/** Limits with what is used of them: sorted by share, grouped by scope, in words. */

import { words } from "../../money/format";

export interface Limit {
  scope: string;
  name: string;
  used: string | null;
  limit: string | null;
  /** 0 to 1 and above, as a number or as text. */
  share: string | number | null;
  unit: string;
  tripped: boolean;
}

export interface Scale {
  limit: Limit;
  share: number;
  tone: "calm" | "warn" | "bad";
}

export const WARN_FROM = 0.7;
export const BAD_FROM = 0.9;

export function shareOf(limit: Limit): number {
  const told = limit.share === null ? Number(limit.used) / Number(limit.limit) : Number(limit.share);
  return Number.isFinite(told) ? Math.max(0, told) : 0;
}

export function toneOf(limit: Limit): Scale["tone"] {
  const share = shareOf(limit);
  return limit.tripped || share >= BAD_FROM ? "bad" : share >= WARN_FROM ? "warn" : "calm";
}

/** The nearest to its limit first; what has tripped before all. */
export function sorted(limits: readonly Limit[]): Scale[] {
  return limits
    .map((limit) => ({ limit, share: shareOf(limit), tone: toneOf(limit) }))
    .sort(
      (a, b) =>
        Number(b.limit.tripped) - Number(a.limit.tripped) ||
        b.share - a.share ||
        a.limit.scope.localeCompare(b.limit.scope) ||
        a.limit.name.localeCompare(b.limit.name),
    );
}

/** "account:main" as kind and name. */
export function scopeParts(scope: string): { kind: string; name: string } {
  const [kind = "", ...name] = scope.split(":");
  return { kind, name: name.join(":") };
}

export const KINDS = ["firm", "account", "strategy", "instrument"] as const;

export function kindsOf(limits: readonly Limit[]): string[] {
  const found = new Set(limits.map((limit) => scopeParts(limit.scope).kind));
  const known = KINDS.filter((kind) => found.has(kind));
  return [...known, ...[...found].filter((kind) => !(KINDS as readonly string[]).includes(kind)).sort()];
}

export function percent(share: number): string {
  if (share > 0 && share < 0.001) return "under 0.1 %";
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function nameOf(limit: Limit): string {
  return words(limit.name.replace(/^max_/, ""));
}
