// The connection to /api/v1/stream: snapshot, deltas in order, a fresh snapshot after a gap, and for ever again.

const STALE_AFTER_MS = 3000;
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8000;

export class Stream {
  /** `onData(data, isSnapshot)` for each message, `onLink(state, text)` when the connection's state changes. */
  constructor(onData, onLink) {
    this.onData = onData;
    this.onLink = onLink;
    this.waitMs = FIRST_WAIT_MS;
    this.sequence = 0;
    this.heardAt = performance.now();
    this.view = null;
    setInterval(() => this.watch(), 500);
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = this.view ? `?instrument_id=${encodeURIComponent(this.view.instrument_id)}` : "";
    this.socket = new WebSocket(`${scheme}://${location.host}/api/v1/stream${query}`);
    this.heardAt = performance.now();
    this.socket.onopen = () => { if (this.view) this.send({ type: "view", ...this.view }); };
    this.socket.onmessage = (event) => this.take(JSON.parse(event.data));
    this.socket.onclose = (event) => this.lost(event.reason);
  }

  take(message) {
    this.heardAt = performance.now();
    this.waitMs = FIRST_WAIT_MS;
    const isSnapshot = message.type === "snapshot";
    if (!isSnapshot && message.seq !== this.sequence + 1) {
      this.send({ type: "resync" });
      return;
    }
    this.sequence = message.seq;
    this.onLink("live", "live");
    this.onData(message.data, isSnapshot);
  }

  /** Look at another instrument; the server answers with a snapshot. */
  show(instrumentId, depth) {
    this.view = { instrument_id: instrumentId, depth };
    this.send({ type: "view", ...this.view });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  lost(reason) {
    this.onLink("reconnecting", reason || "reconnecting");
    setTimeout(() => this.connect(), this.waitMs * (0.75 + Math.random() / 2));
    this.waitMs = Math.min(this.waitMs * 2, LONGEST_WAIT_MS);
  }

  watch() {
    const silentMs = performance.now() - this.heardAt;
    if (this.socket.readyState === WebSocket.OPEN && silentMs > STALE_AFTER_MS) {
      this.onLink("stale", `stale for ${Math.floor(silentMs / 1000)} s`);
      // A connection that says nothing for so long is dead, whatever its state claims.
      if (silentMs > STALE_AFTER_MS * 4) this.socket.close();
    }
  }
}
