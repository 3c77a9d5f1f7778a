/** Asking the api from a view: what came, what failed, and again. */

import { useCallback, useEffect, useState } from "react";
import { read, type Query } from "../api/client";

export interface Asked<T> {
  data: T | null;
  error: unknown;
  isLoading: boolean;
  again: () => void;
}

/** GET a path, again when path or query change, and every `everyMs` if given. Null asks for nothing. */
export function useAsked<T>(path: string | null, query: Query = {}, everyMs?: number): Asked<T> {
  const key = path === null ? null : `${path} ${JSON.stringify(query)}`;
  const [answer, setAnswer] = useState<{ key: string | null; data: T | null; error: unknown; isLoading: boolean }>({
    key,
    data: null,
    error: null,
    isLoading: key !== null,
  });
  const [round, setRound] = useState(0);
  // What was asked for before must not stand under the new question.
  if (answer.key !== key) setAnswer({ key, data: null, error: null, isLoading: key !== null });
  useEffect(() => {
    if (key === null) return;
    const [asked, rest] = splitOnce(key);
    const ending = new AbortController();
    read<T>(asked, JSON.parse(rest) as Query, ending.signal).then(
      (data) => setAnswer({ key, data, error: null, isLoading: false }),
      (error: unknown) => {
        if (!ending.signal.aborted) setAnswer((now) => ({ ...now, error, isLoading: false }));
      },
    );
    return () => ending.abort();
  }, [key, round]);
  useEffect(() => {
    if (!everyMs || key === null) return;
    const timer = setInterval(() => {
      if (!document.hidden) setRound((now) => now + 1);
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, key]);
  const again = useCallback(() => setRound((now) => now + 1), []);
  return { data: answer.data, error: answer.error, isLoading: answer.isLoading, again };
}

function splitOnce(key: string): [string, string] {
  const at = key.indexOf(" ");
  return [key.slice(0, at), key.slice(at + 1)];
}
