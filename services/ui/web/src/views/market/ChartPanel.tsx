/** The candles with their intervals and the legend of the bar that is pointed at. */

import { memo, useEffect, useMemo, useRef, useState, type ReactElement } from "react";
import { api, told } from "../../api/client";
import type { Bar, Instrument, Mark } from "../../api/types";
import { onColours, prefer, usePreferences } from "../../app/preferences";
import { chosen, live, useDrawn, useLink } from "../../live/live";
import { isUnfinished } from "../../live/model";
import { decimal, decimalsOf, subtract, text } from "../../money/decimal";
import { number, signed } from "../../money/format";
import { Attribution } from "../../shown/Attribution";
import { ErrorNote, Panel } from "../../shown/notes";
import { INTERVALS, type Interval } from "./bars";
import { CandleChart, type Pointed } from "./CandleChart";

const PAGE = 500;

interface ChartProps {
  instrument: Instrument;
  interval: Interval;
  /** There are too few candles of this length for a picture. */
  onFew: () => void;
}

/** Fewer than these make no picture. */
const FEW = 20;

export const ChartPanel = memo(function ChartPanel({ instrument, interval, onFew }: ChartProps): ReactElement {
  return (
    <Panel
      title="Chart"
      className="chart"
      actions={
        <>
          <FillsChoice />
          <div className="segments" role="group" aria-label="Length of a candle">
            {INTERVALS.map((one) => (
              <button key={one} type="button" aria-pressed={one === interval} onClick={() => prefer({ interval: one })}>
                {one}
              </button>
            ))}
          </div>
        </>
      }
    >
      <Candles key={interval} instrument={instrument} interval={interval} onFew={onFew} />
    </Panel>
  );
});

function FillsChoice(): ReactElement {
  const fills = usePreferences((now) => now.fills);
  return (
    <select
      aria-label="Our fills on the candles"
      value={fills}
      onChange={(event) => prefer({ fills: event.target.value as typeof fills })}
    >
      <option value="all">All our fills</option>
      <option value="manual">Fills by hand</option>
      <option value="none">No fills</option>
    </select>
  );
}

const NO_MARKS: readonly Mark[] = [];

/** Of all that came; the same array for the same ones, so that nothing is drawn twice. */
function chooser(): (marks: readonly Mark[], whose: string) => readonly Mark[] {
  let of: readonly Mark[] = NO_MARKS;
  let kept: readonly Mark[] = NO_MARKS;
  return (marks, whose) => {
    if (whose !== "manual") return whose === "all" ? marks : NO_MARKS;
    if (of !== marks) [of, kept] = [marks, marks.filter((mark) => mark[4] === "manual")];
    return kept;
  };
}

/** Asks for bars, the newest ones and then older pages; one request at a time. */
class BarLoader {
  private readonly ending = new AbortController();
  private isAsking = false;
  private cursor: string | null = null;

  constructor(
    private readonly instrumentId: string,
    private readonly interval: Interval,
    private readonly tell: (bars: readonly Bar[]) => void,
    private readonly fail: (problem: unknown) => void,
  ) {}

  async newest(): Promise<void> {
    await this.ask(null, this.cursor === null);
  }

  async older(): Promise<void> {
    if (this.cursor !== null) await this.ask(this.cursor, true);
  }

  stop(): void {
    this.ending.abort();
  }

  private async ask(before: string | null, isFurther: boolean): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      const path = { instrument_id: this.instrumentId };
      const query = { interval: this.interval, limit: PAGE, ...(before === null ? {} : { before }) };
      const page = await told(
        api.GET("/api/v1/bars/{instrument_id}", { params: { path, query }, signal: this.ending.signal }),
      );
      if (isFurther) this.cursor = page.next_cursor;
      this.tell(page.bars);
      this.fail(null);
    } catch (problem) {
      // What is on the screen stays; older bars are asked for again when somebody scrolls.
      if (!this.ending.signal.aborted) this.fail(problem);
    } finally {
      this.isAsking = false;
    }
  }
}

function Candles({ instrument, interval, onFew }: ChartProps): ReactElement {
  const legend = useRef<HTMLParagraphElement>(null);
  const place = useRef<HTMLDivElement>(null);
  const drawn = useRef<{ chart: CandleChart; loader: BarLoader } | null>(null);
  const zone = usePreferences((now) => now.zone);
  const whose = usePreferences((now) => now.fills);
  const chooseMarks = useMemo(chooser, []);
  const isLive = useLink((link) => link.state === "live");
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    if (!place.current) return;
    const take = (bars: readonly Bar[]): void => {
      chart.takeBars(bars);
      if (bars.length < FEW) onFew();
    };
    const loader = new BarLoader(instrument.instrument_id, interval, take, setError);
    const chart = new CandleChart(place.current, instrument, interval, {
      onPoint: (pointed) => write(legend.current, pointed, instrument),
      onOlder: () => void loader.older(),
    });
    drawn.current = { chart, loader };
    const stop = onColours(() => chart.paint());
    return () => {
      stop();
      loader.stop();
      chart.remove();
      drawn.current = null;
    };
  }, [instrument, interval, onFew]);
  useEffect(() => {
    // At first, and after a lost connection for the bars in between.
    void drawn.current?.loader.newest();
  }, [instrument, interval, isLive]);
  useEffect(() => drawn.current?.chart.setZone(zone), [zone, instrument, interval]);
  useDrawn(["bars", "marks", "orders"], () => {
    const chart = drawn.current?.chart;
    // Drawn for the first time before the view has chosen, it would keep the bars of what was chosen before.
    if (!chart || chosen().interval !== interval || chosen().instrument_id !== instrument.instrument_id) return;
    chart.takeBars(live.get("bars"));
    chart.takeMarks(chooseMarks(live.get("marks"), whose));
    const orders = [...live.get("orders").values()];
    chart.takeOrders(orders.filter((one) => one.instrument_id === instrument.instrument_id && isUnfinished(one)));
  });
  const label = `Candles of ${instrument.symbol}, ${interval} each`;
  return (
    <>
      {error ? <ErrorNote error={error} onAgain={() => void drawn.current?.loader.newest()} /> : null}
      <div className="candle-area">
        <p className="legend" ref={legend} />
        <div className="candles" ref={place} role="img" aria-label={label} />
        <Attribution />
      </div>
    </>
  );
}

/** Open, high, low, close, change, volume, fills: written straight into the page. */
function write(element: HTMLElement | null, pointed: Pointed | null, instrument: Instrument): void {
  if (!element) return;
  const decimals = decimalsOf(instrument.price_increment);
  element.textContent = pointed ? legendText(pointed, decimals) : "";
}

function legendText({ bar, buys, sells }: Pointed, decimals: number): string {
  const change = text(subtract(decimal(bar.close), decimal(bar.open)));
  const prices = [bar.open, bar.high, bar.low, bar.close].map((price) => number(price, decimals));
  const fills = buys + sells ? ` \u00B7 our fills ${buys}\u25B2 ${sells}\u25BC` : "";
  return `O ${prices[0]} H ${prices[1]} L ${prices[2]} C ${prices[3]} (${signed(change, decimals)}) V ${number(bar.volume, 3)}${fills}`;
}
