/**
 * The live state that components look at: messages wait until the next animation frame and are then taken all at once; only
 * those who look at a part that changed are told. While the page is hidden frames are taken four times a second.
 */

import { emptyParts, merged, type Data, type PartName, type Parts } from "./model";

const HIDDEN_INTERVAL_MS = 250;
/** More than this in one frame means that the page did not come to draw: the oldest must be merged at once. */
const MAX_WAITING = 256;

interface Waiting {
  data: Data;
  isSnapshot: boolean;
}

type Listener = () => void;

export class LiveStore {
  private parts: Parts = emptyParts();
  private readonly listeners = new Map<PartName, Set<Listener>>();
  private waiting: Waiting[] = [];
  private isScheduled = false;

  constructor(private readonly schedule: (work: () => void) => void = onNextFrame) {}

  get<Name extends PartName>(name: Name): Parts[Name] {
    return this.parts[name];
  }

  /** Call `listener` after each frame in which one of the parts changed. */
  subscribe(names: readonly PartName[], listener: Listener): () => void {
    for (const name of names) {
      const listeners = this.listeners.get(name) ?? new Set();
      this.listeners.set(name, listeners.add(listener));
    }
    return () => {
      for (const name of names) this.listeners.get(name)?.delete(listener);
    };
  }

  /** Take one message's data, at the next frame. */
  take(data: Data, isSnapshot: boolean): void {
    if (isSnapshot) this.waiting = [];
    this.waiting.push({ data, isSnapshot });
    if (this.waiting.length > MAX_WAITING) this.apply();
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.schedule(() => {
      this.isScheduled = false;
      this.apply();
    });
  }

  /** Something else is looked at: a price of another instrument must not be shown, let alone clicked. */
  forget(names: readonly PartName[]): void {
    this.apply();
    const fresh = emptyParts();
    this.change(Object.fromEntries(names.map((name) => [name, fresh[name]])), names);
  }

  /** The session ended: nothing of it stays. */
  clear(): void {
    this.waiting = [];
    this.parts = emptyParts();
    this.tell(Object.keys(this.parts) as PartName[]);
  }

  private apply(): void {
    if (!this.waiting.length) return;
    const taken = this.waiting;
    this.waiting = [];
    const changed = new Set<PartName>();
    let parts = this.parts;
    for (const { data, isSnapshot } of taken) {
      if (isSnapshot) {
        // What a snapshot does not hold is not there (any more), except what does not depend on what is looked at.
        const fresh = emptyParts();
        parts = { ...fresh, instruments: parts.instruments, health: parts.health, counters: parts.counters };
        for (const name of Object.keys(fresh) as PartName[]) changed.add(name);
      } else {
        parts = { ...parts };
      }
      for (const name of Object.keys(data) as PartName[]) {
        if (!(name in parts)) continue;
        (parts as unknown as Data)[name] = merged(name, parts[name], data[name]);
        changed.add(name);
      }
    }
    this.change(parts, [...changed]);
  }

  private change(parts: Partial<Parts>, names: readonly PartName[]): void {
    this.parts = { ...this.parts, ...parts };
    this.tell(names);
  }

  private tell(names: readonly PartName[]): void {
    const told = new Set<Listener>();
    for (const name of names) for (const listener of this.listeners.get(name) ?? []) told.add(listener);
    for (const listener of told) listener();
  }
}

function onNextFrame(work: () => void): void {
  // A hidden page gets no frames; what it is told must not pile up.
  if (document.hidden) setTimeout(work, HIDDEN_INTERVAL_MS);
  else onceOf(work);
}

/** At the next frame; if the page is hidden before it comes, soon after. */
function onceOf(work: () => void): void {
  let isDone = false;
  const once = (): void => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    work();
  };
  const timer = setTimeout(once, HIDDEN_INTERVAL_MS);
  requestAnimationFrame(once);
}
