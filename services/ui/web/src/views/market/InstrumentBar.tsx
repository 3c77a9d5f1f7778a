/** The instrument in a line: last price, best bid and ask, spread, and whether its feed can be trusted. */

import { memo, useRef, type ReactElement } from "react";
import type { Instrument, Price } from "../../api/types";
import { live, useDrawn, usePart } from "../../live/live";
import { decimal, decimalsOf, subtract, text } from "../../money/decimal";
import { number, trimmed } from "../../money/format";
import { Icon } from "../../shown/Icon";
import { StatusBadge, type Tone } from "../../shown/quantities";

export const InstrumentBar = memo(function InstrumentBar({
  instrument,
  onSearch,
}: {
  instrument: Instrument;
  onSearch: () => void;
}): ReactElement {
  return (
    <section className="instrument-bar" aria-label="Instrument">
      <button type="button" className="instrument-name" onClick={onSearch} title="Find another instrument ( / )">
        <span>
          <strong>{instrument.symbol}</strong> <span className="soft">{instrument.venue}</span>
        </span>
        <Icon name="search" size={16} />
      </button>
      <Quote instrument={instrument} />
      <Feed instrument={instrument} />
    </section>
  );
});

/** Written straight into the page: it changes with every frame. */
function Quote({ instrument }: { instrument: Instrument }): ReactElement {
  const last = useRef<HTMLElement>(null);
  const bid = useRef<HTMLElement>(null);
  const ask = useRef<HTMLElement>(null);
  const spread = useRef<HTMLElement>(null);
  const decimals = decimalsOf(instrument.price_increment);
  useDrawn(["prices"], () => {
    const price = live.get("prices").get(instrument.instrument_id);
    const up = price?.last_side !== "SELL";
    write(last.current, `${number(price?.last, decimals)} ${price?.last ? (up ? "\u25B2" : "\u25BC") : ""}`);
    if (last.current) last.current.className = price?.last ? (up ? "up" : "down") : "";
    write(bid.current, `${number(price?.bid, decimals)} \u00D7 ${trimmed(price?.bid_size)}`);
    write(ask.current, `${number(price?.ask, decimals)} \u00D7 ${trimmed(price?.ask_size)}`);
    write(spread.current, spreadOf(price, decimals));
  });
  return (
    <dl className="quote">
      <div className="last">
        <dt>Last</dt>
        <dd ref={last} />
      </div>
      <div>
        <dt>Bid</dt>
        <dd ref={bid} />
      </div>
      <div>
        <dt>Ask</dt>
        <dd ref={ask} />
      </div>
      <div className="spread">
        <dt>Spread</dt>
        <dd ref={spread} />
      </div>
    </dl>
  );
}

function spreadOf(price: Price | undefined, decimals: number): string {
  if (!price?.bid || !price.ask) return "\u2013";
  return number(text(subtract(decimal(price.ask), decimal(price.bid))), decimals);
}

function write(element: HTMLElement | null, what: string): void {
  if (element && element.textContent !== what) element.textContent = what;
}

const FEEDS: Record<string, Tone> = {
  LIVE: "good",
  SYNCED: "good",
  CONNECTED: "good",
  CONNECTING: "warn",
  SYNCING: "warn",
};

function Feed({ instrument }: { instrument: Instrument }): ReactElement {
  const feed = usePart("prices", (prices) => prices.get(instrument.instrument_id)?.feed ?? "");
  const detail = usePart("prices", (prices) => prices.get(instrument.instrument_id)?.feed_detail ?? "");
  return (
    <p className="feed" title={detail}>
      {feed ? <StatusBadge state={feed} tone={FEEDS[feed] ?? "bad"} label={`Feed ${feed.toLowerCase()}`} /> : null}
      {detail && FEEDS[feed] !== "good" ? <span className="soft"> {detail}</span> : null}
    </p>
  );
}
