/**
 * The connection to /api/v1/stream: says what the page shows, takes the snapshot and the deltas in order, asks again after a
 * gap, and connects again for ever, with back-off. A stream that is silent for 3 s is stale; one silent for 12 s is dead.
 */

import type { Data } from "./model";

export const STALE_AFTER_MS = 3_000;
const DEAD_AFTER_MS = 12_000;
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8_000;
const WATCH_MS = 500;
/** Our session ended; 4403: it never may look. */
const SESSION_ENDED = 4_401;
const NEVER_ALLOWED = 4_403;
const POLICY_VIOLATION = 1_008;
const NO_SUCH_PART = /there is no part '([a-z_]+)'/;

/** What the page shows. Without an instrument the server chooses one. */
export interface View {
  parts: string[];
  instrument_id?: string;
  depth?: number;
  interval?: string;
  strategy_id?: string;
}

export type LinkState = "connecting" | "live" | "stale" | "reconnecting" | "refused";

export interface Link {
  state: LinkState;
  /** When a message came last, by performance.now(); 0 before the first. */
  heardAt: number;
  reason: string;
}

export interface Socket {
  readyState: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: string }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(text: string): void;
  close(): void;
}

export interface Owner {
  open: () => Socket;
  onData: (data: Data, isSnapshot: boolean, sentAt: string) => void;
  onLink: (link: Link) => void;
  /** The session may have ended: answers whether it is worth to connect again. */
  renew: () => Promise<boolean>;
  now: () => number;
}

const OPEN = 1;

export class Stream {
  private socket: Socket | null = null;
  private view: View | null = null;
  private waitMs = FIRST_WAIT_MS;
  private sequence = 0;
  /** Deltas of what was looked at before must not be taken for what is looked at now. */
  private awaitsSnapshot = true;
  private wasOpen = false;
  /** What an older platform does not have: the rest of the page goes on without it. */
  private readonly missing = new Set<string>();
  /** When this connection was begun or said something. */
  private aliveAt = 0;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private watcher: ReturnType<typeof setInterval> | null = null;
  private link: Link = { state: "connecting", heardAt: 0, reason: "" };

  constructor(private readonly owner: Owner) {}

  start(): void {
    if (this.watcher) return;
    this.watcher = setInterval(() => this.watch(), WATCH_MS);
    this.connect();
  }

  stop(): void {
    if (this.watcher) clearInterval(this.watcher);
    if (this.timer) clearTimeout(this.timer);
    this.watcher = this.timer = null;
    this.drop();
    this.say("connecting", "");
  }

  /** Look at something else; the server answers with a snapshot. */
  show(view: View): void {
    if (JSON.stringify(view) === JSON.stringify(this.view)) return;
    this.view = view;
    if (this.socket?.readyState === OPEN) this.sendView();
  }

  private connect(): void {
    this.timer = null;
    this.wasOpen = false;
    this.sequence = 0;
    this.awaitsSnapshot = true;
    const socket = (this.socket = this.owner.open());
    this.aliveAt = this.owner.now();
    socket.onopen = () => {
      this.wasOpen = true;
      if (this.view) this.sendView();
    };
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = (event) => this.lost(event.code, event.reason);
  }

  private take(text: string): void {
    const message = JSON.parse(text) as { type: string; seq: number; ts: string; data: Data };
    const isSnapshot = message.type === "snapshot";
    const isGap = message.seq !== this.sequence + 1;
    this.sequence = message.seq;
    this.waitMs = FIRST_WAIT_MS;
    this.aliveAt = this.owner.now();
    this.link = { ...this.link, heardAt: this.aliveAt };
    if (isSnapshot) {
      if (this.isOfAnother(message.data)) return;
      this.awaitsSnapshot = false;
    } else if (isGap && !this.awaitsSnapshot) {
      this.awaitsSnapshot = true;
      this.send({ type: "resync" });
    }
    if (!this.awaitsSnapshot) this.say("live", "");
    if (!this.awaitsSnapshot) this.owner.onData(message.data, isSnapshot, message.ts);
  }

  /** A snapshot that was on its way when another instrument was chosen. */
  private isOfAnother(data: Data): boolean {
    const book = data["book"] as { instrument_id?: string } | undefined;
    const wanted = this.view?.instrument_id;
    return Boolean(wanted && book?.instrument_id && book.instrument_id !== wanted);
  }

  private sendView(): void {
    this.awaitsSnapshot = true;
    const parts = this.view?.parts.filter((name) => !this.missing.has(name));
    this.send({ type: "view", ...this.view, parts });
  }

  private send(message: object): void {
    if (this.socket?.readyState === OPEN) this.socket.send(JSON.stringify(message));
  }

  private lost(code: number, reason: string): void {
    this.drop();
    if (code === NEVER_ALLOWED) {
      this.say("refused", reason || "you may not look at live data");
      return;
    }
    const missing = code === POLICY_VIOLATION ? NO_SUCH_PART.exec(reason)?.[1] : undefined;
    if (missing) this.missing.add(missing);
    this.say("reconnecting", missing ? "" : reason);
    // A handshake that is refused looks like a network failure to a page, so the session is asked then, too.
    if (code === SESSION_ENDED || !this.wasOpen) {
      void this.owner.renew().then((isWorthIt) => {
        if (isWorthIt) this.connectLater();
      });
    } else {
      this.connectLater();
    }
  }

  private connectLater(): void {
    if (!this.watcher || this.timer || this.socket) return;
    this.timer = setTimeout(() => this.connect(), this.waitMs * (0.75 + Math.random() / 2));
    this.waitMs = Math.min(this.waitMs * 2, LONGEST_WAIT_MS);
  }

  private drop(): void {
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  private watch(): void {
    if (!this.socket) return;
    const silentMs = this.owner.now() - this.aliveAt;
    if (silentMs > DEAD_AFTER_MS) this.lost(0, "the stream fell silent");
    else if (silentMs > STALE_AFTER_MS && this.link.state === "live") this.say("stale", "");
  }

  private say(state: LinkState, reason: string): void {
    this.link = { ...this.link, state, reason };
    this.owner.onLink(this.link);
  }
}
