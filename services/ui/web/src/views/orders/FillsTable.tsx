/** All fills that the filters let through. */

import { useMemo, useState, type ReactElement } from "react";
import { address } from "../../api/client";
import type { Fill } from "../../api/types";
import { words } from "../../money/format";
import { DataTable, type Column } from "../../shown/DataTable";
import { EmptyState, ErrorNote, Skeleton } from "../../shown/notes";
import { Amount, SideTag, Time } from "../../shown/quantities";
import { navigateKeeping, placesOf } from "./Blotter";
import { askedOf, fillFits, fillKey, isFiltered, mergedFills, spanOf, type Filters } from "./filters";
import { usePages, useSlowPart } from "./paging";

const COLUMNS: readonly Column<Fill>[] = [
  { id: "time", title: "Time", value: (fill) => fill.ts_event, cell: (fill) => <Time ns={fill.ts_event} withDate /> },
  { id: "order", title: "Order", value: (fill) => fill.client_order_id, hide: "middle", className: "order-id" },
  { id: "strategy", title: "Strategy", value: (fill) => fill.strategy_id, hide: "narrow" },
  { id: "instrument", title: "Instrument", value: (fill) => fill.instrument_id, hide: "middle" },
  { id: "side", title: "Side", value: (fill) => fill.side, cell: (fill) => <SideTag side={fill.side} /> },
  {
    id: "price",
    title: "Price",
    align: "number",
    value: (fill) => Number(fill.price),
    cell: (fill) => <Amount value={fill.price} decimals={placesOf(fill.price)} />,
  },
  {
    id: "size",
    title: "Size",
    align: "number",
    value: (fill) => Number(fill.size),
    cell: (fill) => <Amount value={fill.size} />,
  },
  {
    id: "fee",
    title: "Fee",
    align: "number",
    value: (fill) => Number(fill.fee),
    cell: (fill) => <Amount value={fill.fee} unit={fill.fee_currency} />,
    hide: "narrow",
  },
  { id: "liquidity", title: "Liquidity", value: (fill) => words(fill.liquidity_side), hide: "middle" },
  { id: "trade", title: "Venue's trade", value: (fill) => fill.trade_id, hide: "middle" },
];

const EVERY_MS = 300;

export function FillsTable({ filters }: { filters: Filters }): ReactElement {
  const [now] = useState(() => Date.now());
  const span = useMemo(() => spanOf(filters, now), [filters, now]);
  const asked = askedOf(filters, span, "fills");
  const pages = usePages<Fill>("/fills", asked, "fills");
  const live = useSlowPart("fills", EVERY_MS);
  const rows = useMemo(
    () => mergedFills(pages.rows, live, (fill) => fillFits(fill, filters, span)),
    [pages.rows, live, filters, span],
  );
  if (pages.isLoading && rows.length === 0) return <Skeleton lines={12} />;
  return (
    <>
      <div className="blotter-head">
        <p className="note" role="status">
          {rows.length.toLocaleString("en")} {rows.length === 1 ? "fill" : "fills"}
          {pages.isComplete ? "" : ", more as you scroll"}
        </p>
        <div className="panel-actions">
          <a className="button small" href={address("/fills.csv", asked)} download>
            CSV
          </a>
        </div>
      </div>
      <ErrorNote error={pages.error} onAgain={pages.again} />
      <DataTable
        label="Fills"
        keys="Fills"
        rows={rows}
        columns={COLUMNS}
        rowId={fillKey}
        onOpen={(fill) => navigateKeeping(fill.client_order_id)}
        onEnd={pages.more}
        empty={
          <EmptyState title="No fills">
            {isFiltered(filters) ? "None fits the filters." : "Each execution of an order appears here at once."}
          </EmptyState>
        }
      />
    </>
  );
}
