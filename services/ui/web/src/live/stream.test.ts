import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Data } from "./model";
import { Stream, type Link, type Socket } from "./stream";

class FakeSocket implements Socket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly sent: { type: string; [name: string]: unknown }[] = [];
  isClosed = false;

  send(text: string): void {
    this.sent.push(JSON.parse(text) as { type: string });
  }

  close(): void {
    this.isClosed = true;
    this.readyState = 3;
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  tell(type: string, seq: number, data: Data = {}): void {
    this.onmessage?.({ data: JSON.stringify({ type, seq, ts: "1", data }) });
  }

  end(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

const sockets: FakeSocket[] = [];
const taken: { data: Data; isSnapshot: boolean }[] = [];
let link: Link;
let renew: () => Promise<boolean>;
let stream: Stream;
const last = (): FakeSocket => sockets.at(-1) as FakeSocket;

beforeEach(() => {
  vi.useFakeTimers();
  sockets.length = taken.length = 0;
  renew = () => Promise.resolve(true);
  stream = new Stream({
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    onData: (data, isSnapshot) => taken.push({ data, isSnapshot }),
    onLink: (now) => (link = now),
    renew: () => renew(),
    now: () => Date.now(),
  });
  stream.show({ parts: ["orders"], instrument_id: "X", depth: 20 });
  stream.start();
});

afterEach(() => {
  stream.stop();
  vi.useRealTimers();
});

describe("the stream", () => {
  it("says what is looked at as soon as it is open, and again only when that changes", () => {
    last().accept();
    stream.show({ parts: ["orders"], instrument_id: "X", depth: 20 });
    stream.show({ parts: ["orders", "alerts"], instrument_id: "X", depth: 20 });
    expect(last().sent.map((one) => one["parts"])).toEqual([["orders"], ["orders", "alerts"]]);
  });

  it("takes the snapshot, then deltas in order", () => {
    last().accept();
    last().tell("snapshot", 1, { a: 1 });
    last().tell("delta", 2, { b: 2 });
    expect(taken).toEqual([
      { data: { a: 1 }, isSnapshot: true },
      { data: { b: 2 }, isSnapshot: false },
    ]);
    expect(link.state).toBe("live");
  });

  it("asks again after a gap, once, and takes nothing until the snapshot", () => {
    last().accept();
    last().tell("snapshot", 1);
    last().tell("delta", 3, { lost: 1 });
    last().tell("delta", 4, { lost: 2 });
    expect(last().sent.filter((one) => one.type === "resync")).toHaveLength(1);
    expect(taken).toHaveLength(1);
    last().tell("snapshot", 5, { all: 1 });
    last().tell("delta", 6, { b: 1 });
    expect(taken.slice(1).map((one) => one.data)).toEqual([{ all: 1 }, { b: 1 }]);
  });

  it("takes no delta of what was looked at before", () => {
    last().accept();
    last().tell("snapshot", 1);
    stream.show({ parts: ["book"], instrument_id: "Y" });
    last().tell("delta", 2, { trades: [{ price: "of X" }] });
    last().tell("snapshot", 3, { book: { instrument_id: "X" } });
    expect(taken).toHaveLength(1);
    last().tell("snapshot", 4, { book: { instrument_id: "Y" } });
    expect(taken).toHaveLength(2);
  });

  it("is stale after 3 s of silence, live again with the next message", () => {
    last().accept();
    last().tell("snapshot", 1);
    vi.advanceTimersByTime(3_600);
    expect(link.state).toBe("stale");
    last().tell("delta", 2);
    expect(link.state).toBe("live");
  });

  it("gives up a connection that is silent for too long, and makes another", () => {
    last().accept();
    last().tell("snapshot", 1);
    vi.advanceTimersByTime(13_000);
    expect(sockets[0]?.isClosed).toBe(true);
    expect(link.state).toBe("reconnecting");
    vi.advanceTimersByTime(1_000);
    expect(sockets).toHaveLength(2);
  });

  it("connects again with longer and longer waits, and says its view again", async () => {
    last().accept();
    last().tell("snapshot", 1);
    last().end(1006);
    for (let attempt = 0; attempt < 6; attempt += 1) {
      await vi.advanceTimersByTimeAsync(10_100);
      last().end(1006);
    }
    const before = sockets.length;
    await vi.advanceTimersByTimeAsync(5_900);
    expect(sockets.length).toBe(before);
    await vi.advanceTimersByTimeAsync(4_200);
    expect(sockets.length).toBe(before + 1);
    last().accept();
    expect(last().sent[0]).toMatchObject({ type: "view", instrument_id: "X" });
  });

  it("asks about the session when it ended, and stays away without one", async () => {
    last().accept();
    renew = () => Promise.resolve(false);
    last().end(4401, "logged out");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
  });

  it("connects again when the session was renewed", async () => {
    last().accept();
    last().end(4401);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sockets).toHaveLength(2);
  });

  it("does not try again where it is never allowed", async () => {
    last().accept();
    last().end(4403, "no");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
    expect(link.state).toBe("refused");
  });

  it("goes on without a part that an older platform does not have", async () => {
    stream.show({ parts: ["orders", "alerts"] });
    last().accept();
    last().end(1008, "there is no part 'alerts'; there are 15");
    await vi.advanceTimersByTimeAsync(1_000);
    last().accept();
    expect(last().sent[0]?.["parts"]).toEqual(["orders"]);
  });

  it("does nothing more once stopped", async () => {
    last().accept();
    stream.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
    expect(sockets[0]?.isClosed).toBe(true);
  });
});
