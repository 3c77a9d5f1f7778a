/** The equity curve above, the fall from its peak below. Amounts become floats here, to be drawn. */

import {
  AreaSeries,
  BaselineSeries,
  createChart,
  TickMarkType,
  type IChartApi,
  type ISeriesApi,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import type { DrawdownPoint } from "../../api/types";
import { clockTime, dateTime, type Zone } from "../../money/format";
import { colours, faint } from "../../shown/colours";

export interface CurvePoint {
  time: UTCTimestamp;
  equity: number;
  fall: number;
}

/** One point per second, the last one of it: the chart knows no finer times. */
export function curveOf(points: readonly DrawdownPoint[]): CurvePoint[] {
  const bySecond = new Map<number, CurvePoint>();
  for (const point of points) {
    const second = Number(BigInt(point.ts) / 1_000_000_000n);
    bySecond.set(second, {
      time: second as UTCTimestamp,
      equity: Number(point.equity),
      fall: -Math.abs(Number(point.drawdown)),
    });
  }
  return [...bySecond.values()].sort((a, b) => a.time - b.time);
}

export class EquityChart {
  private readonly chart: IChartApi;
  private readonly equity: ISeriesApi<"Baseline">;
  private readonly fall: ISeriesApi<"Area">;

  constructor(place: HTMLElement) {
    this.chart = createChart(place, {
      autoSize: true,
      layout: { attributionLogo: false },
      timeScale: { timeVisible: true, secondsVisible: true },
    });
    const priceFormat = { type: "price", precision: 2, minMove: 0.01 } as const;
    this.equity = this.chart.addSeries(BaselineSeries, {
      baseValue: { type: "price", price: 0 },
      priceFormat,
      lineWidth: 2,
    });
    this.fall = this.chart.addSeries(AreaSeries, { priceFormat, lineWidth: 1, invertFilledArea: true }, 1);
    this.chart.panes()[0]?.setStretchFactor(3);
    this.chart.panes()[1]?.setStretchFactor(1);
    this.paint();
  }

  paint(): void {
    const tints = colours();
    this.chart.applyOptions({
      layout: {
        background: { color: tints.panel },
        textColor: tints.soft,
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: Math.round(Number.parseFloat(getComputedStyle(document.body).fontSize) * 0.85),
        panes: { separatorColor: tints.line, separatorHoverColor: tints.edge },
      },
      grid: { vertLines: { color: faint(tints.line, 0.6) }, horzLines: { color: faint(tints.line, 0.6) } },
      rightPriceScale: { borderColor: tints.line },
      timeScale: { borderColor: tints.line },
    });
    this.equity.applyOptions({
      topLineColor: tints.up,
      topFillColor1: faint(tints.up, 0.25),
      topFillColor2: faint(tints.up, 0.03),
      bottomLineColor: tints.down,
      bottomFillColor1: faint(tints.down, 0.03),
      bottomFillColor2: faint(tints.down, 0.25),
    });
    this.fall.applyOptions({
      lineColor: tints.warn,
      topColor: faint(tints.warn, 0.25),
      bottomColor: faint(tints.warn, 0.05),
    });
  }

  setZone(zone: Zone): void {
    this.chart.applyOptions({
      localization: { timeFormatter: (time: Time) => dateTime(Number(time) * 1_000, zone) },
      timeScale: {
        tickMarkFormatter: (time: Time, kind: TickMarkType) =>
          kind <= TickMarkType.DayOfMonth
            ? dateTime(Number(time) * 1_000, zone).slice(5, 10)
            : clockTime(Number(time) * 1_000, zone).slice(0, kind < TickMarkType.TimeWithSeconds ? 5 : 8),
      },
    });
  }

  show(points: readonly CurvePoint[], isNew: boolean): void {
    this.equity.setData(points.map(({ time, equity }) => ({ time, value: equity })));
    this.fall.setData(points.map(({ time, fall }) => ({ time, value: fall })));
    if (isNew) this.chart.timeScale().fitContent();
  }

  remove(): void {
    this.chart.remove();
  }
}
