/**
 * The one stream of the page. Views say which parts they show while they are mounted; the stream asks for these together, and
 * for what the frame around the views shows at all times.
 */

import { useCallback, useEffect, useRef, useSyncExternalStore } from "react";
import { create } from "zustand";
import { session } from "../session/session";
import { OF_INSTRUMENT, type PartName, type Parts } from "./model";
import { LiveStore } from "./store";
import { Stream, type Link, type Socket, type View } from "./stream";

/** What the frame around every view shows. */
const ALWAYS: readonly PartName[] = ["instruments", "trading_states", "kill_switches", "alerts", "health"];

export const live = new LiveStore();

export const useLink = create<Link>(() => ({ state: "connecting", heardAt: 0, reason: "" }));

const stream = new Stream({
  open: () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    return new WebSocket(`${scheme}://${location.host}/api/v1/stream`) as unknown as Socket;
  },
  onData: (data, isSnapshot) => live.take(data, isSnapshot),
  onLink: (link) => {
    const before = useLink.getState();
    // The time of the last message changes with every frame; who wants it asks for it.
    lastHeardAt = link.heardAt;
    if (before.state !== link.state || before.reason !== link.reason) useLink.setState(link);
  },
  renew: () => session.renew(),
  now: () => performance.now(),
});

let lastHeardAt = 0;

/** How long the stream has been silent, in ms. */
export function silentMs(): number {
  return lastHeardAt ? performance.now() - lastHeardAt : 0;
}

export function startStream(): void {
  announce();
  stream.start();
}

export function stopStream(): void {
  stream.stop();
  live.clear();
}

export type Choice = Omit<View, "parts">;

const wanted = new Map<PartName, number>();
let choice: Choice = {};
let isAnnouncing = false;

/** Several views that mount and unmount in one go become one message. */
function announce(): void {
  if (isAnnouncing) return;
  isAnnouncing = true;
  queueMicrotask(() => {
    isAnnouncing = false;
    const parts = [...new Set([...ALWAYS, ...wanted.keys()])].sort();
    stream.show({ parts, ...choice });
  });
}

/** Have these parts sent while the component is mounted. */
export function useParts(...names: PartName[]): void {
  const key = names.join(" ");
  useEffect(() => {
    const mine = key.split(" ") as PartName[];
    for (const name of mine) wanted.set(name, (wanted.get(name) ?? 0) + 1);
    announce();
    return () => {
      for (const name of mine) {
        const left = (wanted.get(name) ?? 1) - 1;
        if (left) wanted.set(name, left);
        else wanted.delete(name);
      }
      announce();
    };
  }, [key]);
}

/** Choose the instrument, depth, interval or strategy whose parts are sent. */
export function choose(more: Partial<Choice>): void {
  const isOther = more.instrument_id !== undefined && more.instrument_id !== choice.instrument_id;
  const isOtherInterval = more.interval !== undefined && more.interval !== choice.interval;
  choice = { ...choice, ...more };
  if (isOther) live.forget(OF_INSTRUMENT);
  else if (isOtherInterval) live.forget(["bars"]);
  announce();
}

/** What is chosen now; parts of anything else are gone from `live`. */
export function chosen(): Readonly<Choice> {
  return choice;
}

/** A part, or what `select` makes of it; the component renders again when that is another value (Object.is). */
export function usePart<Name extends PartName>(name: Name): Parts[Name];
export function usePart<Name extends PartName, T>(name: Name, select: (part: Parts[Name]) => T): T;
export function usePart<Name extends PartName, T>(name: Name, select?: (part: Parts[Name]) => T): T | Parts[Name] {
  const subscribe = useCallback((listener: () => void) => live.subscribe([name], listener), [name]);
  return useSyncExternalStore(subscribe, () => (select ? select(live.get(name)) : live.get(name)));
}

/** Draw without React: `draw` is called once now and after each frame in which a part changed. */
export function useDrawn(names: readonly PartName[], draw: () => void): void {
  const latest = useRef(draw);
  const key = names.join(" ");
  useEffect(() => {
    latest.current = draw;
    draw();
  });
  useEffect(() => live.subscribe(key.split(" ") as PartName[], () => latest.current()), [key]);
}
