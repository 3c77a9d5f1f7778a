/** A strategy's log: what is stored, then live; filtered by level and text, and held still on demand. */

import { useEffect, useMemo, useRef, useState, type ReactElement } from "react";
import { choose, usePart, useParts } from "../../live/live";
import { useAsked } from "../../shown/asking";
import { EmptyState, ErrorNote } from "../../shown/notes";
import { Time } from "../../shown/quantities";
import type { LogLine } from "./types";

const LEVELS = ["debug", "info", "warning", "error"] as const;

function rank(level: string): number {
  const name = level
    .toLowerCase()
    .replace("critical", "error")
    .replace(/^warn$/, "warning");
  return LEVELS.indexOf(name as (typeof LEVELS)[number]);
}

function timeOf(line: LogLine): string {
  return line.ts ?? line.ts_event ?? "0";
}

function fieldsText(line: LogLine): string {
  if (!line.fields) return "";
  if (typeof line.fields === "string") return line.fields === "{}" ? "" : line.fields;
  return Object.entries(line.fields)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}

function useLines(strategyId: string): { lines: readonly LogLine[]; error: unknown } {
  useParts("strategy_logs");
  useEffect(() => {
    choose({ strategy_id: strategyId });
  }, [strategyId]);
  const stored = useAsked<{ rows: LogLine[] }>(`/strategies/${encodeURIComponent(strategyId)}/logs`, { limit: 300 });
  const live = usePart("strategy_logs");
  const lines = useMemo(() => {
    const found = new Map<string, LogLine>();
    const all = [...(stored.data?.rows ?? []), ...(live as unknown as LogLine[])];
    for (const line of all) {
      const owner = (line as { strategy_id?: string }).strategy_id;
      if (owner === undefined || owner === strategyId) found.set(`${timeOf(line)} ${line.text}`, line);
    }
    return [...found.values()].sort((a, b) => (BigInt(timeOf(a)) < BigInt(timeOf(b)) ? -1 : 1));
  }, [stored.data, live, strategyId]);
  return { lines, error: stored.error };
}

export function Logs({ strategyId }: { strategyId: string }): ReactElement {
  const { lines, error } = useLines(strategyId);
  const [least, setLeast] = useState<string>("info");
  const [search, setSearch] = useState("");
  const [held, setHeld] = useState<readonly LogLine[] | null>(null);
  const list = useRef<HTMLOListElement>(null);
  const source = held ?? lines;
  const shown = source.filter(
    (line) =>
      rank(line.level) >= rank(least) &&
      `${line.text} ${fieldsText(line)}`.toLowerCase().includes(search.toLowerCase()),
  );
  useEffect(() => {
    if (!held) list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [shown.length, held]);
  return (
    <div className="logs">
      <div className="filters">
        <label>
          <span className="hidden">Level</span>
          <select value={least} onChange={(event) => setLeast(event.target.value)}>
            {LEVELS.map((level) => (
              <option key={level} value={level}>
                {level} and above
              </option>
            ))}
          </select>
        </label>
        <label>
          <span className="hidden">Search the log</span>
          <input
            type="search"
            placeholder="Search…"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
        </label>
        <button type="button" aria-pressed={held !== null} onClick={() => setHeld(held ? null : lines)}>
          {held ? `Go on (${Math.max(0, lines.length - held.length)} new)` : "Pause"}
        </button>
      </div>
      <ErrorNote error={error} />
      {shown.length ? (
        // A list that scrolls must be reachable by keys.
        <ol ref={list} tabIndex={0} role="region" aria-label={`Log of ${strategyId}`}>
          {shown.map((line, index) => (
            <li key={`${timeOf(line)} ${index}`} className={`level-${rank(line.level)}`}>
              <Time ns={timeOf(line)} /> <b>{line.level.toLowerCase()}</b>{" "}
              <span>
                {line.text} <span className="muted">{fieldsText(line)}</span>
                {line.left_out ? (
                  <span className="muted"> ({line.left_out} lines before it were too many to tell)</span>
                ) : null}
              </span>
            </li>
          ))}
        </ol>
      ) : (
        <EmptyState title="Nothing logged">
          {lines.length ? "No line fits the filters." : "Lines appear here as they are written."}
        </EmptyState>
      )}
    </div>
  );
}
