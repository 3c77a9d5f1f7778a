/** The three accounts of the same money: our books, the account in the store, the venue. They must agree. */

import type { ReactElement } from "react";
import type { Reconciliation, ReconciliationRow } from "../../api/types";
import { direction } from "../../money/format";
import { useAsked } from "../../shown/asking";
import { DataTable, type Column } from "../../shown/DataTable";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { Age, Amount, StatusBadge } from "../../shown/quantities";

const EVERY_MS = 5_000;

function differs(row: ReconciliationRow): boolean {
  return direction(row.difference) !== 0;
}

const COLUMNS: readonly Column<ReconciliationRow>[] = [
  { id: "currency", title: "Currency", value: (row) => row.currency },
  {
    id: "books",
    title: "Books",
    align: "number",
    value: (row) => Number(row.books),
    cell: (row) => <Held value={row.books} />,
  },
  {
    id: "account",
    title: "Account",
    align: "number",
    value: (row) => Number(row.account),
    cell: (row) => <Held value={row.account} />,
    hide: "narrow",
  },
  {
    id: "venue",
    title: "Venue",
    align: "number",
    value: (row) => Number(row.venue),
    cell: (row) => <Held value={row.venue} />,
  },
  {
    id: "difference",
    title: "Difference",
    align: "number",
    value: (row) => Number(row.difference),
    cell: (row) => <Difference row={row} />,
  },
];

/** Large amounts to a hundredth: the difference is told exactly. */
function Held({ value }: { value: string | null }): ReactElement {
  return <Amount value={value} decimals={decimalsFor(value)} />;
}

function decimalsFor(value: string | null): number {
  return Math.abs(Number(value)) >= 1_000 ? 2 : 8;
}

function Difference({ row }: { row: ReconciliationRow }): ReactElement {
  if (row.difference === null) return <span className="soft">not told</span>;
  if (!differs(row)) return <StatusBadge state="agree" tone="good" label="agree" />;
  return (
    <strong className="problem">
      <Amount value={row.difference} />
    </strong>
  );
}

export function BooksPanel(): ReactElement {
  const asked = useAsked<Reconciliation>("/portfolio/reconciliation", {}, EVERY_MS);
  const told = asked.data;
  return (
    <Panel
      title="Books, account, venue"
      className="books"
      note={
        told?.at ? (
          <>
            compared <Age ns={told.at} /> ago
          </>
        ) : null
      }
    >
      {asked.error ? <ErrorNote error={asked.error} onAgain={asked.again} /> : null}
      {told ? (
        <>
          <OrdersDiffering told={told.orders_differing} />
          <DataTable
            label="Books against account against venue"
            rows={told.rows}
            columns={COLUMNS}
            rowId={(row) => row.currency}
            rowClass={(row) => (differs(row) ? "bad" : "")}
            empty={<EmptyState title="Nothing to compare yet">The first reconciliation has not ended.</EmptyState>}
          />
        </>
      ) : asked.isLoading ? (
        <Skeleton lines={3} />
      ) : null}
    </Panel>
  );
}

function OrdersDiffering({ told }: { told: Reconciliation["orders_differing"] }): ReactElement | null {
  if (!told.length) return null;
  return (
    <p className="error-note">{told.length} orders differ from the venue: look under Orders at what is unknown.</p>
  );
}
