/** History page by page, and parts of the stream not more often than a long table can be drawn. */

import { useCallback, useEffect, useRef, useState } from "react";
import { read, type Query } from "../../api/client";
import { live } from "../../live/live";
import type { PartName, Parts } from "../../live/model";

const PAGE = 500;

export interface Pages<T> {
  rows: readonly T[];
  error: unknown;
  isLoading: boolean;
  isComplete: boolean;
  more: () => void;
  again: () => void;
}

interface Held<T> {
  key: string;
  rows: T[];
  cursor: string | null;
  error: unknown;
  isLoading: boolean;
  isComplete: boolean;
}

function nothing<T>(key: string): Held<T> {
  return { key, rows: [], cursor: null, error: null, isLoading: true, isComplete: false };
}

/** GET a list from its newest row on; `more` asks for the next page. A new question begins anew. */
export function usePages<T>(path: string, query: Query, name: string, pageSize = PAGE): Pages<T> {
  const key = JSON.stringify([path, query]);
  const [held, setHeld] = useState<Held<T>>(() => nothing(key));
  const [turn, setTurn] = useState(0);
  const wanted = useRef<string | null>(null);
  if (held.key !== key) setHeld(nothing(key));
  useEffect(() => {
    const [asked, filters] = JSON.parse(key) as [string, Query];
    const ending = new AbortController();
    const cursor = wanted.current;
    wanted.current = null;
    read<Record<string, unknown>>(asked, { ...filters, limit: pageSize, cursor }, ending.signal).then(
      (page) => {
        const rows = page[name] as T[];
        const next = (page["next_cursor"] ?? null) as string | null;
        setHeld((now) => ({
          key,
          rows: cursor && now.key === key ? now.rows.concat(rows) : rows,
          cursor: next,
          error: null,
          isLoading: false,
          isComplete: next === null,
        }));
      },
      (error: unknown) => {
        if (!ending.signal.aborted) setHeld((now) => ({ ...now, error, isLoading: false }));
      },
    );
    return () => ending.abort();
  }, [key, name, turn, pageSize]);
  const more = useCallback(() => {
    if (held.isLoading || held.isComplete || held.error) return;
    wanted.current = held.cursor;
    setHeld((now) => ({ ...now, isLoading: true }));
    setTurn((now) => now + 1);
  }, [held]);
  const again = useCallback(() => {
    setHeld((now) => nothing(now.key));
    setTurn((now) => now + 1);
  }, []);
  return { ...held, more, again };
}

/** A part of the stream, at most every `everyMs`: a table of thousands of rows is not made anew with each frame. */
export function useSlowPart<Name extends PartName>(name: Name, everyMs: number): Parts[Name] {
  const [part, setPart] = useState<Parts[Name]>(() => live.get(name));
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const take = (): void => {
      timer = undefined;
      setPart(() => live.get(name));
    };
    const stop = live.subscribe([name], () => {
      timer ??= setTimeout(take, everyMs);
    });
    take();
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [name, everyMs]);
  return part;
}
