/** What it all comes to: profit and loss by strategy, instrument and account, the equity curve, and whether the books agree. */

import { useMemo, type ReactElement } from "react";
import { address } from "../../api/client";
import type { Balance, Position } from "../../api/types";
import { href } from "../../app/routes";
import { usePart, useParts } from "../../live/live";
import { DataTable, type Column } from "../../shown/DataTable";
import { EmptyState, Panel } from "../../shown/notes";
import { Amount, Money } from "../../shown/quantities";
import { BooksPanel } from "./BooksPanel";
import { EquityPanel } from "./EquityPanel";
import { ResultPanel } from "./ResultPanel";
import "./portfolio.css";

export default function PortfolioView(): ReactElement {
  useParts("positions", "balances", "equity");
  return (
    <div className="portfolio">
      <ResultPanel />
      <EquityPanel />
      <PositionsPanel />
      <BooksPanel />
      <BalancesPanel />
    </div>
  );
}

const POSITIONS: readonly Column<Position>[] = [
  {
    id: "instrument",
    title: "Instrument",
    value: (row) => row.instrument_id,
    cell: (row) => <a href={href("market", row.instrument_id)}>{row.instrument_id}</a>,
  },
  { id: "strategy", title: "Strategy", value: (row) => row.strategy_id },
  { id: "account", title: "Account", value: (row) => row.account_id, hide: "middle" },
  {
    id: "size",
    title: "Size",
    align: "number",
    value: (row) => Number(row.signed_size),
    cell: (row) => <Amount value={row.signed_size} />,
  },
  {
    id: "average",
    title: "Average price",
    align: "number",
    value: (row) => Number(row.average_price),
    cell: (row) => <Amount value={row.average_price} decimals={2} />,
    hide: "middle",
  },
  {
    id: "mark",
    title: "Mark",
    align: "number",
    value: (row) => Number(row.mark_price),
    cell: (row) => <Amount value={row.mark_price} decimals={2} />,
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
    id: "realized",
    title: "Realized",
    align: "number",
    value: (row) => Number(row.realized_pnl),
    cell: (row) => <Money value={row.realized_pnl} />,
    hide: "narrow",
  },
];

function PositionsPanel(): ReactElement {
  const positions = usePart("positions");
  const open = useMemo(() => positions.filter((row) => !/^-?[0.]+$/.test(row.signed_size)), [positions]);
  return (
    <Panel
      title="Positions"
      className="positions"
      note={`${open.length} open`}
      actions={
        <a className="button small" href={address("/positions.csv")} download>
          CSV
        </a>
      }
    >
      <DataTable
        label="Positions"
        rows={positions}
        columns={POSITIONS}
        rowId={(row) => `${row.account_id} ${row.strategy_id} ${row.instrument_id}`}
        empty={<EmptyState title="No positions">What a strategy or a hand buys stands here.</EmptyState>}
      />
    </Panel>
  );
}

const BALANCES: readonly Column<Balance>[] = [
  { id: "currency", title: "Currency", value: (row) => row.currency },
  { id: "account", title: "Account", value: (row) => row.account_id, hide: "middle" },
  {
    id: "free",
    title: "Free",
    align: "number",
    value: (row) => Number(row.free),
    cell: (row) => <Amount value={row.free} />,
  },
  {
    id: "locked",
    title: "In orders",
    align: "number",
    value: (row) => Number(row.locked),
    cell: (row) => <Amount value={row.locked} />,
  },
  {
    id: "total",
    title: "Total",
    align: "number",
    value: (row) => Number(row.total),
    cell: (row) => <Amount value={row.total} />,
    hide: "narrow",
  },
];

function BalancesPanel(): ReactElement {
  const balances = usePart("balances");
  return (
    <Panel title="Balances" className="balances" note="as the venue states them">
      <DataTable
        label="Balances"
        rows={balances}
        columns={BALANCES}
        rowId={(row) => `${row.account_id} ${row.currency}`}
        empty={<EmptyState title="The venue has not stated any balance yet" />}
      />
    </Panel>
  );
}
