/** The depth ladder: asks above, bids below, bars of the summed size, our orders marked; a price goes into the ticket. */

import { memo, useEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactElement } from "react";
import type { Book, Instrument } from "../../api/types";
import { choose, live, useDrawn } from "../../live/live";
import { decimal, decimalsOf, fixed, multiply, subtract, text } from "../../money/decimal";
import { number } from "../../money/format";
import { Panel } from "../../shown/notes";
import { ladderOf, oursBy, type LadderLevel } from "./ladder";
import { drawLines, watchHeight, type Line } from "./lines";
import { edit, plain } from "./ticket";

const GROUPS = [1, 10, 100, 1_000] as const;
const MOST_DEPTH = 100;

export const LadderPanel = memo(function LadderPanel({ instrument }: { instrument: Instrument }): ReactElement {
  const [group, setGroup] = useState<number>(1);
  const step = useMemo(
    () => plain(text(multiply(decimal(instrument.price_increment), { mantissa: BigInt(group), scale: 0 }))),
    [instrument, group],
  );
  return (
    <Panel
      title="Depth"
      className="ladder"
      actions={
        <select
          aria-label="Put levels together by"
          value={group}
          onChange={(event) => setGroup(Number(event.target.value))}
        >
          {GROUPS.map((one) => (
            <option key={one} value={one}>
              {plain(text(multiply(decimal(instrument.price_increment), { mantissa: BigInt(one), scale: 0 })))}
            </option>
          ))}
        </select>
      }
    >
      <Ladder instrument={instrument} step={step} group={group} />
    </Panel>
  );
});

interface LadderProps {
  instrument: Instrument;
  step: string;
  group: number;
}

function Ladder({ instrument, step, group }: LadderProps): ReactElement {
  const asks = useRef<HTMLDivElement>(null);
  const bids = useRef<HTMLDivElement>(null);
  const middle = useRef<HTMLDivElement>(null);
  const [rows, setRows] = useState(12);
  const [chosen, setChosen] = useState<string | null>(null);
  useEffect(() => {
    const element = asks.current;
    return element ? watchHeight(element, () => rowHeight(element), setRows) : undefined;
  }, []);
  useEffect(() => {
    // Only as deep as it is drawn; what is put together needs more to fill the rows.
    choose({ depth: group === 1 ? Math.min(MOST_DEPTH, Math.ceil(rows / 5) * 5) : MOST_DEPTH });
  }, [rows, group]);
  useDrawn(["book", "orders"], () => {
    drawBook({ asks: asks.current, bids: bids.current, middle: middle.current }, { instrument, step, rows, chosen });
  });
  const take = (price: string | undefined): void => {
    if (price) edit({ price, orderType: "LIMIT" });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const prices = pricesIn(asks.current, bids.current);
    if (event.key === "Enter" && chosen) take(chosen);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown")
      setChosen(next(prices, chosen, event.key === "ArrowDown"));
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div className="ladder-heads" aria-hidden="true">
        <span>Price {instrument.quote_currency}</span>
        <span>Size {instrument.base_currency}</span>
        <span>Sum</span>
      </div>
      <div
        className="ladder-body"
        role="listbox"
        tabIndex={0}
        aria-label="Depth: arrows choose a price, Enter puts it into the ticket"
        onKeyDown={onKeyDown}
        onClick={(event) => {
          if (event.target instanceof Element)
            take(event.target.closest<HTMLElement>("[data-value]")?.dataset["value"]);
        }}
      >
        <div className="ladder-asks" role="group" aria-label="Asks" ref={asks} />
        <div className="ladder-middle" role="presentation" ref={middle} />
        <div className="ladder-bids" role="group" aria-label="Bids" ref={bids} />
      </div>
    </>
  );
}

interface Places {
  asks: HTMLElement | null;
  bids: HTMLElement | null;
  middle: HTMLElement | null;
}

function drawBook(
  places: Places,
  how: { instrument: Instrument; step: string; rows: number; chosen: string | null },
): void {
  const { instrument, step, rows, chosen } = how;
  const book = live.get("book");
  const decimals = decimalsOf(instrument.price_increment);
  const sizeDecimals = decimalsOf(instrument.size_increment);
  const ours = oursBy(live.get("orders").values(), instrument.instrument_id);
  const write = (level: LadderLevel, isBid: boolean): Line => lineOf(level, isBid, decimals, sizeDecimals, chosen);
  const below = ladderOf(book?.bids ?? [], true, step, rows, ours.bids).map((level) => write(level, true));
  const above = ladderOf(book?.asks ?? [], false, step, rows, ours.asks).map((level) => write(level, false));
  if (places.bids) drawLines(places.bids, below, "option");
  if (places.asks) drawLines(places.asks, above.reverse(), "option");
  const sign = bookText(book, decimals);
  if (places.middle && places.middle.textContent !== sign) places.middle.textContent = sign;
}

function bookText(book: Book | null, decimals: number): string {
  if (!book) return "Waiting for depth";
  if (!book.synced) return "No depth until the next snapshot";
  return spreadText(book.bids[0]?.[0], book.asks[0]?.[0], decimals);
}

function rowHeight(element: HTMLElement): number {
  return Number.parseFloat(getComputedStyle(element).getPropertyValue("--line-height")) || 19;
}

function lineOf(
  level: LadderLevel,
  isBid: boolean,
  decimals: number,
  sizeDecimals: number,
  chosen: string | null,
): Line {
  const price = fixed(decimal(level.price), decimals);
  return {
    texts: [number(price), number(level.size, sizeDecimals), number(level.sum, sizeDecimals)],
    className: `level ${isBid ? "bid" : "ask"}${level.ours ? " has-ours" : ""}${price === chosen ? " chosen" : ""}`,
    bar: level.share,
    value: price,
  };
}

function spreadText(bid: string | undefined, ask: string | undefined, decimals: number): string {
  if (!bid || !ask) return "One side is empty";
  return `Spread ${number(text(subtract(decimal(ask), decimal(bid))), decimals)}`;
}

function pricesIn(...sides: (HTMLElement | null)[]): string[] {
  return sides.flatMap((side) =>
    [...(side?.children ?? [])].map((line) => (line as HTMLElement).dataset["value"] ?? ""),
  );
}

function next(prices: readonly string[], now: string | null, isDown: boolean): string | null {
  const at = now === null ? -1 : prices.indexOf(now);
  // Nothing chosen yet: the best bid, in the middle.
  if (at < 0) return prices[Math.floor(prices.length / 2)] ?? null;
  return prices[Math.min(prices.length - 1, Math.max(0, at + (isDown ? 1 : -1)))] ?? null;
}
