/** The last stretch of a strategy's profit and loss, as small as a word. */

import { memo, useMemo, type ReactElement } from "react";
import { usePart } from "../../live/live";

const WIDTH = 120;
const HEIGHT = 28;
const MOST = 120;

export function linePath(values: readonly number[], width: number, height: number): string {
  if (values.length < 2) return "";
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = height - 2;
  return values
    .map((value, index) => {
      const x = (index / (values.length - 1)) * width;
      const y = high === low ? height / 2 : 1 + room * (1 - (value - low) / (high - low));
      return `${index ? "L" : "M"}${round(x)},${round(y)}`;
    })
    .join(" ");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export const Sparkline = memo(function Sparkline({ strategyId }: { strategyId: string }): ReactElement | null {
  const points = usePart("equity_points");
  const path = useMemo(() => {
    const own = points.filter((point) => point.strategy_id === strategyId).slice(-MOST);
    return linePath(
      own.map((point) => Number(point.net_pnl)),
      WIDTH,
      HEIGHT,
    );
  }, [points, strategyId]);
  if (!path) return <span className="soft">no curve yet</span>;
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Profit and loss of ${strategyId} lately`}
    >
      <path d={path} />
    </svg>
  );
});
