/** The candles on TradingView's canvas: bars, volume, our fills and open orders. Prices become floats here, to be drawn. */

import {
  CandlestickSeries,
  createChart,
  createSeriesMarkers,
  CrosshairMode,
  HistogramSeries,
  LineStyle,
  type CandlestickData,
  type IChartApi,
  type IPriceLine,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  type MouseEventParams,
  type SeriesMarker,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import type { Bar, Instrument, Mark, Order } from "../../api/types";
import { decimalsOf } from "../../money/decimal";
import { clockTime, dateTime, type Zone } from "../../money/format";
import { colours, faint, type Colours } from "../../shown/colours";
import { BarRow, barSecond, secondsOf, type Interval } from "./bars";

const MOST_LINES = 40;
const MOST_MARKS = 400;
const FEW_MARKS = 40;
/** Candles in sight at first. */
const MOST_SHOWN = 110;
const LEAST_SHOWN = 40;
/** Nearer to the left edge than this many bars: older ones are asked for. */
const NEAR_EDGE = 30;

/** What a legend shows: the bar under the pointer, else the last one. */
export interface Pointed {
  bar: Bar;
  buys: number;
  sells: number;
}

interface Events {
  onPoint: (pointed: Pointed | null) => void;
  onOlder: () => void;
}

export class CandleChart {
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volume: ISeriesApi<"Histogram">;
  private readonly marks: ISeriesMarkersPluginApi<Time>;
  private readonly lines = new Map<string, { line: IPriceLine; text: string }>();
  private readonly row = new BarRow();
  private readonly barAt = new Map<number, Bar>();
  private readonly fillsAt = new Map<number, { buys: number; sells: number }>();
  private tints: Colours = colours();
  private pointed: number | null = null;
  private drawnMarks: readonly Mark[] | null = null;
  private isFitted = false;

  constructor(
    place: HTMLElement,
    instrument: Instrument,
    private readonly interval: Interval,
    private readonly events: Events,
  ) {
    const precision = decimalsOf(instrument.price_increment);
    this.chart = createChart(place, {
      autoSize: true,
      layout: { attributionLogo: false },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { scaleMargins: { top: 0.08, bottom: 0.22 } },
      timeScale: { timeVisible: true, secondsVisible: interval === "1s", rightOffset: 4 },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, {
      priceFormat: { type: "price", precision, minMove: 10 ** -precision },
    });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.marks = createSeriesMarkers(this.candles, []);
    this.chart.subscribeCrosshairMove((event) => this.point(event));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < NEAR_EDGE && this.row.all.length) this.events.onOlder();
    });
    this.paint();
  }

  /** Colours and time zone. The library's own logo needs an inline style, which the page's policy refuses: the panel links. */
  paint(): void {
    const tints = (this.tints = colours());
    this.chart.applyOptions({
      layout: {
        background: { color: tints.panel },
        textColor: tints.soft,
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: Math.round(Number.parseFloat(getComputedStyle(document.body).fontSize) * 0.85),
      },
      grid: { vertLines: { color: faint(tints.line, 0.6) }, horzLines: { color: faint(tints.line, 0.6) } },
      rightPriceScale: { borderColor: tints.line },
      timeScale: { borderColor: tints.line },
      crosshair: {
        vertLine: { color: tints.muted, labelBackgroundColor: tints.edge },
        horzLine: { color: tints.muted, labelBackgroundColor: tints.edge },
      },
    });
    // Falling candles are filled and rising ones hollow, so that they differ without their colour.
    this.candles.applyOptions({
      upColor: faint(tints.up, 0.15),
      borderUpColor: tints.up,
      wickUpColor: tints.up,
      downColor: tints.down,
      borderDownColor: tints.down,
      wickDownColor: tints.down,
    });
    this.redraw();
    for (const { line } of this.lines.values()) this.candles.removePriceLine(line);
    this.lines.clear();
    this.drawnMarks = null;
  }

  setZone(zone: Zone): void {
    this.chart.applyOptions({
      localization: { timeFormatter: (time: Time) => dateTime(Number(time) * 1_000, zone) },
      timeScale: { tickMarkFormatter: (time: Time, kind: number) => tickText(Number(time) * 1_000, kind, zone) },
    });
  }

  takeBars(bars: readonly Bar[]): void {
    const added = this.row.take(bars);
    if (added === null) this.redraw();
    else for (const bar of added) this.update(bar);
    if (added?.length === 0) return;
    this.tell();
  }

  takeMarks(marks: readonly Mark[]): void {
    if (marks === this.drawnMarks) return;
    this.drawnMarks = marks;
    const width = secondsOf(this.interval);
    this.fillsAt.clear();
    for (const [at, , , side] of marks) {
      const second = Math.floor(at / 1_000 / width) * width;
      const count = this.fillsAt.get(second) ?? { buys: 0, sells: 0 };
      if (side === "BUY") count.buys += 1;
      else count.sells += 1;
      this.fillsAt.set(second, count);
    }
    const first = this.row.all[0];
    const from = first ? barSecond(first.ts) : 0;
    const drawn: SeriesMarker<Time>[] = [];
    // Many are drawn smaller, so that the candles stay in sight.
    const size = this.fillsAt.size > FEW_MARKS ? 0.45 : 0.9;
    for (const [second, { buys, sells }] of [...this.fillsAt].sort(([a], [b]) => a - b).slice(-MOST_MARKS)) {
      const time = second as UTCTimestamp;
      if (second < from) continue;
      if (buys) drawn.push({ time, position: "belowBar", shape: "arrowUp", color: this.tints.up, size });
      if (sells) drawn.push({ time, position: "aboveBar", shape: "arrowDown", color: this.tints.down, size });
    }
    this.marks.setMarkers(drawn);
  }

  /** The open orders nearest to the last price, each as a dashed line with its side and size on the axis. */
  takeOrders(orders: readonly Order[]): void {
    const last = Number(this.row.all.at(-1)?.close ?? 0);
    const near = orders
      .filter((order) => order.price !== null)
      .sort((a, b) => Math.abs(Number(a.price) - last) - Math.abs(Number(b.price) - last))
      .slice(0, MOST_LINES);
    const kept = new Set(near.map((order) => order.client_order_id));
    for (const [id, { line }] of this.lines) {
      if (kept.has(id)) continue;
      this.candles.removePriceLine(line);
      this.lines.delete(id);
    }
    for (const order of near) this.drawOrder(order);
  }

  private drawOrder(order: Order): void {
    const left = Number(order.size) - Number(order.filled_size);
    const text = `${order.side === "BUY" ? "\u25B2" : "\u25BC"} ${left.toPrecision(3)}`;
    const colour = order.side === "BUY" ? this.tints.up : this.tints.down;
    const known = this.lines.get(order.client_order_id);
    if (known && known.text === text) return;
    const options = {
      price: Number(order.price),
      title: text,
      color: colour,
      lineWidth: 1 as const,
      lineStyle: LineStyle.Dashed,
      axisLabelVisible: order.strategy_id === "manual",
      axisLabelColor: order.side === "BUY" ? this.tints["up-solid"] : this.tints["down-solid"],
      axisLabelTextColor: "#ffffff",
    };
    if (known) {
      known.line.applyOptions(options);
      known.text = text;
    } else this.lines.set(order.client_order_id, { line: this.candles.createPriceLine(options), text });
  }

  remove(): void {
    this.chart.remove();
  }

  private redraw(): void {
    this.barAt.clear();
    const bars = this.row.all;
    for (const bar of bars) this.barAt.set(barSecond(bar.ts), bar);
    this.candles.setData(bars.map(candle));
    this.volume.setData(bars.map((bar) => this.column(bar)));
    this.drawnMarks = null;
    if (this.isFitted || !bars.length) return;
    this.isFitted = true;
    const shown = Math.min(MOST_SHOWN, Math.max(LEAST_SHOWN, bars.length));
    this.chart.timeScale().setVisibleLogicalRange({ from: bars.length - shown, to: bars.length + 4 });
  }

  private update(bar: Bar): void {
    this.barAt.set(barSecond(bar.ts), bar);
    this.candles.update(candle(bar));
    this.volume.update(this.column(bar));
  }

  private column(bar: Bar): { time: UTCTimestamp; value: number; color: string } {
    const isUp = Number(bar.close) >= Number(bar.open);
    return { time: timeOf(bar), value: Number(bar.volume), color: faint(isUp ? this.tints.up : this.tints.down, 0.35) };
  }

  private point(event: MouseEventParams): void {
    this.pointed = event.time === undefined ? null : Number(event.time);
    this.tell();
  }

  private tell(): void {
    const last = this.row.all.at(-1);
    const bar = this.pointed === null ? last : (this.barAt.get(this.pointed) ?? last);
    const fills = bar ? (this.fillsAt.get(barSecond(bar.ts)) ?? { buys: 0, sells: 0 }) : null;
    this.events.onPoint(bar && fills ? { bar, ...fills } : null);
  }
}

function timeOf(bar: Bar): UTCTimestamp {
  return barSecond(bar.ts) as UTCTimestamp;
}

function candle(bar: Bar): CandlestickData<UTCTimestamp> {
  return {
    time: timeOf(bar),
    open: Number(bar.open),
    high: Number(bar.high),
    low: Number(bar.low),
    close: Number(bar.close),
  };
}

/** Years, months and days as dates; below that the time of day (the kinds of a tick are 0 to 4). */
function tickText(ms: number, kind: number, zone: Zone): string {
  if (kind <= 2) return dateTime(ms, zone).slice(kind === 0 ? 0 : 5, kind === 0 ? 7 : 10);
  return kind === 3 ? clockTime(ms, zone).slice(0, 5) : clockTime(ms, zone);
}
