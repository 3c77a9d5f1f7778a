/** Profit and loss, put together by strategy, instrument or account, with the total on top. */

import { useMemo, useState, type ReactElement } from "react";
import type { Portfolio, PortfolioRow } from "../../api/types";
import { href } from "../../app/routes";
import { useAsked } from "../../shown/asking";
import { DataTable, type Column } from "../../shown/DataTable";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { Amount, Money } from "../../shown/quantities";

const WAYS = ["strategy", "instrument", "account"] as const;
type Way = (typeof WAYS)[number];
const EVERY_MS = 2_000;

function columns(by: Way): readonly Column<PortfolioRow>[] {
  return [
    {
      id: "key",
      title: by.charAt(0).toUpperCase() + by.slice(1),
      value: (row) => row.key,
      cell: (row) => <Key by={by} name={row.key} />,
    },
    { id: "positions", title: "Positions", align: "number", value: (row) => row.positions, hide: "narrow" },
    {
      id: "exposure",
      title: "Exposure",
      align: "number",
      value: (row) => Number(row.exposure),
      cell: (row) => <Amount value={row.exposure} decimals={2} />,
      hide: "narrow",
    },
    {
      id: "realized",
      title: "Realized",
      align: "number",
      value: (row) => Number(row.realized_pnl),
      cell: (row) => <Money value={row.realized_pnl} />,
      hide: "middle",
    },
    {
      id: "unrealized",
      title: "Unrealized",
      align: "number",
      value: (row) => Number(row.unrealized_pnl),
      cell: (row) => <Money value={row.unrealized_pnl} />,
    },
    {
      id: "fees",
      title: "Fees",
      align: "number",
      value: (row) => Number(row.fees),
      cell: (row) => <Amount value={row.fees} decimals={2} />,
      hide: "narrow",
    },
    {
      id: "net",
      title: "Net",
      align: "number",
      value: (row) => Number(row.net_pnl),
      cell: (row) => <Money value={row.net_pnl} />,
    },
  ];
}

function Key({ by, name }: { by: Way; name: string }): ReactElement {
  if (by === "account") return <>{name}</>;
  return <a href={by === "strategy" ? href("strategies", name) : href("market", name)}>{name}</a>;
}

export function ResultPanel(): ReactElement {
  const [by, setBy] = useState<Way>("strategy");
  const asked = useAsked<Portfolio>("/portfolio", { by }, EVERY_MS);
  const shown = useMemo(() => columns(by), [by]);
  const portfolio = asked.data;
  return (
    <Panel
      title="Profit and loss"
      className="result"
      actions={
        <div className="segments" role="group" aria-label="Put together by">
          {WAYS.map((way) => (
            <button key={way} type="button" aria-pressed={by === way} onClick={() => setBy(way)}>
              {way}
            </button>
          ))}
        </div>
      }
    >
      {asked.error ? <ErrorNote error={asked.error} onAgain={asked.again} /> : null}
      {portfolio ? (
        <>
          <Figures total={portfolio.total} />
          <DataTable
            label={`Profit and loss by ${by}`}
            rows={portfolio.rows}
            columns={shown}
            rowId={(row) => row.key}
            sort={{ id: "net", desc: true }}
            empty={<EmptyState title="Nothing has been traded yet" />}
          />
        </>
      ) : asked.isLoading ? (
        <Skeleton lines={5} />
      ) : null}
    </Panel>
  );
}

function Figures({ total }: { total: PortfolioRow }): ReactElement {
  return (
    <dl className="figures">
      <div className="main-figure">
        <dt>Net</dt>
        <dd>
          <Money value={total.net_pnl} />
        </dd>
      </div>
      <div>
        <dt>Realized</dt>
        <dd>
          <Money value={total.realized_pnl} />
        </dd>
      </div>
      <div>
        <dt>Unrealized</dt>
        <dd>
          <Money value={total.unrealized_pnl} />
        </dd>
      </div>
      <div>
        <dt>Fees</dt>
        <dd>
          <Amount value={total.fees} decimals={2} />
        </dd>
      </div>
      <div>
        <dt>Exposure</dt>
        <dd>
          <Amount value={total.exposure} decimals={2} />
        </dd>
      </div>
    </dl>
  );
}
