/** The equity curve of everything or of one strategy, and how far it fell from its peak. */

import { useEffect, useMemo, useRef, useState, type ReactElement } from "react";
import { address } from "../../api/client";
import type { Drawdown } from "../../api/types";
import { onColours, usePreferences } from "../../app/preferences";
import { usePart } from "../../live/live";
import { useAsked } from "../../shown/asking";
import { Attribution } from "../../shown/Attribution";
import { EmptyState, ErrorNote, Panel } from "../../shown/notes";
import { Amount } from "../../shown/quantities";
import { curveOf, EquityChart, type CurvePoint } from "./EquityChart";

const EVERY_MS = 5_000;

export function EquityPanel(): ReactElement {
  const [strategy, setStrategy] = useState("");
  const equity = usePart("equity");
  const names = useMemo(() => [...new Set(equity.map((row) => row.strategy_id))].sort(), [equity]);
  const asked = useAsked<Drawdown>("/portfolio/drawdown", { strategy_id: strategy }, EVERY_MS);
  const points = useMemo(() => curveOf(asked.data?.rows ?? []), [asked.data]);
  return (
    <Panel
      title="Equity and drawdown"
      className="equity"
      note={
        asked.data ? (
          <>
            deepest fall <Amount value={asked.data.max_drawdown} decimals={2} />
          </>
        ) : null
      }
      actions={
        <>
          <select aria-label="Whose equity" value={strategy} onChange={(event) => setStrategy(event.target.value)}>
            <option value="">All strategies</option>
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
          <a className="button small" href={address("/equity/curve.csv", { strategy_id: strategy })} download>
            CSV
          </a>
        </>
      }
    >
      {asked.error ? <ErrorNote error={asked.error} onAgain={asked.again} /> : null}
      {asked.data && points.length < 2 ? (
        <EmptyState title="No curve yet">
          The portfolio service writes a point from time to time once something was traded.
        </EmptyState>
      ) : null}
      <Curve points={points} of={strategy} />
      <Attribution />
    </Panel>
  );
}

function Curve({ points, of }: { points: readonly CurvePoint[]; of: string }): ReactElement {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<EquityChart | null>(null);
  const fitted = useRef<string | null>(null);
  const zone = usePreferences((now) => now.zone);
  useEffect(() => {
    if (!place.current) return;
    const made = (chart.current = new EquityChart(place.current));
    fitted.current = null;
    const stop = onColours(() => made.paint());
    return () => {
      stop();
      made.remove();
      chart.current = null;
    };
  }, []);
  useEffect(() => chart.current?.setZone(zone), [zone]);
  useEffect(() => {
    chart.current?.show(points, fitted.current !== of);
    if (points.length) fitted.current = of;
  }, [points, of]);
  return (
    <div
      className="curve"
      ref={place}
      role="img"
      aria-label={`Equity of ${of || "all strategies"} and its fall from its peak`}
    />
  );
}
