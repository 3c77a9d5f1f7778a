/** The market's prints, newest on top. The sign before a price is the side that took it. */

import { memo, useEffect, useRef, useState, type ReactElement } from "react";
import type { Instrument, Trade } from "../../api/types";
import { usePreferences } from "../../app/preferences";
import { live, useDrawn } from "../../live/live";
import { decimalsOf } from "../../money/decimal";
import { clockTime, milliseconds, number, type Zone } from "../../money/format";
import { Panel } from "../../shown/notes";
import { drawLines, watchHeight, type Line } from "./lines";

export const TapePanel = memo(function TapePanel({ instrument }: { instrument: Instrument }): ReactElement {
  return (
    <Panel title="Trades" className="tape">
      <div className="tape-heads" aria-hidden="true">
        <span>Price {instrument.quote_currency}</span>
        <span>Size {instrument.base_currency}</span>
        <span>Time</span>
      </div>
      <Tape instrument={instrument} />
    </Panel>
  );
});

function Tape({ instrument }: { instrument: Instrument }): ReactElement {
  const place = useRef<HTMLDivElement>(null);
  const [rows, setRows] = useState(20);
  const zone = usePreferences((now) => now.zone);
  useEffect(() => {
    const element = place.current;
    const height = (): number =>
      Number.parseFloat(getComputedStyle(element as Element).getPropertyValue("--line-height")) || 19;
    return element ? watchHeight(element, height, setRows) : undefined;
  }, []);
  const decimals = decimalsOf(instrument.price_increment);
  const sizeDecimals = decimalsOf(instrument.size_increment);
  useDrawn(["trades"], () => {
    const lines = live
      .get("trades")
      .slice(0, rows)
      .map((trade) => lineOf(trade, decimals, sizeDecimals, zone));
    if (place.current) drawLines(place.current, lines);
  });
  return <div className="tape-body" ref={place} aria-hidden="true" />;
}

function lineOf(trade: Trade, decimals: number, sizeDecimals: number, zone: Zone): Line {
  const isSell = trade.side === "SELL";
  return {
    texts: [
      `${isSell ? "\u25BC" : "\u25B2"} ${number(trade.price, decimals)}`,
      number(trade.size, sizeDecimals),
      clockTime(milliseconds(trade.ts_event), zone),
    ],
    className: `print ${isSell ? "sell" : "buy"}`,
  };
}
