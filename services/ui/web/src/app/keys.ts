/** Keys: single ones and two in a row (`g m`). What is bound at the moment is listed by the help overlay. */

import { useEffect, useRef, useSyncExternalStore } from "react";

export interface Binding {
  /** `/`, `?`, `Escape`, `ArrowUp`, `g m`. */
  keys: string;
  about: string;
  run: (event: KeyboardEvent) => void;
  /** Also while a field has the focus. */
  inFields?: boolean;
}

interface Group {
  title: string;
  bindings: Binding[];
}

const SEQUENCE_MS = 1_200;
const groups: Group[] = [];
const listeners = new Set<() => void>();
let shown: readonly Group[] = [];
let first: { key: string; at: number } | null = null;

function changed(): void {
  shown = [...groups];
  for (const listener of listeners) listener();
}

/** Bind keys while the component is mounted. Later components come first. */
export function useKeys(title: string, bindings: Binding[]): void {
  const latest = useRef(bindings);
  useEffect(() => {
    latest.current = bindings;
  });
  const names = bindings.map((one) => `${one.keys}\n${one.about}`).join("\n\n");
  useEffect(() => {
    if (!names) return;
    const group: Group = {
      title,
      bindings: names.split("\n\n").map((text, index) => {
        const [keys = "", about = ""] = text.split("\n");
        const of = (): Binding | undefined => latest.current[index];
        return {
          keys,
          about,
          run: (event) => of()?.run(event),
          inFields: latest.current[index]?.inFields ?? false,
        };
      }),
    };
    groups.unshift(group);
    changed();
    return () => {
      groups.splice(groups.indexOf(group), 1);
      changed();
    };
  }, [title, names]);
}

/** What is bound now, for the help overlay. */
export function useBoundKeys(): readonly Group[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
}

function isField(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

/** What has the focus does its own thing with these. */
function isOwn(event: KeyboardEvent): boolean {
  if (event.key !== "Enter" && event.key !== " ") return false;
  return (
    event.target instanceof Element && event.target.closest("button, a, summary, [role=grid], [role=listbox]") !== null
  );
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isOwn(event)) return;
  // A dialog has its own keys; a command given behind it would be one that nobody sees.
  const inDialog = document.querySelector("dialog[open]") !== null;
  const now = performance.now();
  const sequence = first && now - first.at < SEQUENCE_MS ? `${first.key} ${event.key}` : null;
  const all = groups.flatMap((group) => group.bindings);
  const field = isField(event.target);
  const fits = (binding: Binding, keys: string): boolean =>
    binding.keys === keys && (!field || Boolean(binding.inFields)) && !inDialog;
  const found = (sequence && all.find((one) => fits(one, sequence))) || all.find((one) => fits(one, event.key));
  if (found) {
    first = null;
    event.preventDefault();
    found.run(event);
    return;
  }
  const begins = !field && !inDialog && all.some((one) => one.keys.startsWith(`${event.key} `));
  first = begins ? { key: event.key, at: now } : null;
}

export function listenToKeys(): void {
  window.addEventListener("keydown", onKey);
}
