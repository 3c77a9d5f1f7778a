/** All orders that the filters let through: the stream's and those of the store, page by page. */

import { useEffect, useMemo, useState, type ReactElement } from "react";
import { address } from "../../api/client";
import type { Order } from "../../api/types";
import { useKeys } from "../../app/keys";
import { navigate } from "../../app/routes";
import { isUnfinished } from "../../live/model";
import { words } from "../../money/format";
import { Action, useRefusal } from "../../shown/Action";
import { DataTable, type Column } from "../../shown/DataTable";
import { EmptyState, ErrorNote, Skeleton } from "../../shown/notes";
import { Age, Amount, SideTag, StatusBadge, Time } from "../../shown/quantities";
import { toast } from "../../shown/toasts";
import { cancelRefusal, modifyRefusal, type Act } from "./acting";
import { askedOf, isFiltered, mergedOrders, orderFits, spanOf, type Filters } from "./filters";
import { usePages } from "./paging";

const COLUMNS: readonly Column<Order>[] = [
  {
    id: "time",
    title: "Time",
    value: (order) => order.ts_init,
    cell: (order) => <Time ns={order.ts_init} withDate />,
    hide: "narrow",
  },
  { id: "id", title: "Order", value: (order) => order.client_order_id, hide: "middle", className: "order-id" },
  { id: "strategy", title: "Strategy", value: (order) => order.strategy_id, hide: "narrow" },
  { id: "instrument", title: "Instrument", value: (order) => order.instrument_id, hide: "middle" },
  { id: "side", title: "Side", value: (order) => order.side, cell: (order) => <SideTag side={order.side} /> },
  { id: "type", title: "Type", value: (order) => words(order.order_type), hide: "middle" },
  {
    id: "price",
    title: "Price",
    align: "number",
    value: (order) => Number(order.price ?? Number.NaN),
    cell: (order) => <Amount value={order.price} decimals={placesOf(order.price)} />,
  },
  {
    id: "size",
    title: "Size",
    align: "number",
    value: (order) => Number(order.size),
    cell: (order) => <Amount value={order.size} />,
  },
  {
    id: "filled",
    title: "Filled",
    align: "number",
    value: (order) => Number(order.filled_size),
    cell: (order) => <Amount value={order.filled_size} />,
    hide: "narrow",
  },
  { id: "status", title: "Status", value: (order) => order.status, cell: (order) => <OrderStatus order={order} /> },
  {
    id: "reason",
    title: "Reason",
    value: (order) => order.reason,
    cell: (order) => <span className="soft">{order.reason ?? ""}</span>,
    hide: "middle",
    className: "reason",
  },
];

/** As many decimals as the platform wrote: prices of one column stand below each other. */
export function placesOf(price: string | null): number {
  return price?.split(".")[1]?.length ?? 0;
}

export function OrderStatus({ order }: { order: Order }): ReactElement {
  if (order.outcome !== "UNKNOWN") return <StatusBadge state={order.status} />;
  return (
    <span className="badge bad">
      Unknown for <Age ns={order.unknown_since} />
    </span>
  );
}

export function Blotter({
  filters,
  live,
  chosen,
  onAct,
  onStrategies,
}: {
  filters: Filters;
  live: ReadonlyMap<string, Order>;
  /** The order whose story is open. */
  chosen: string | null;
  onAct: (act: Act) => void;
  onStrategies: (names: readonly string[]) => void;
}): ReactElement {
  const span = useSpan(filters);
  const asked = askedOf(filters, span, "orders");
  // Those without an end are in memory and answered without pages; the stream has them too.
  const pages = usePages<Order>("/orders", asked, "orders");
  const rows = useMemo(
    () => mergedOrders(pages.rows, live, (order) => orderFits(order, filters, span)),
    [pages.rows, live, filters, span],
  );
  useEffect(() => onStrategies([...new Set(rows.map((order) => order.strategy_id))].sort()), [rows, onStrategies]);
  const [active, setActive] = useState<string | null>(null);
  const at = active ?? chosen;
  const order = at === null ? undefined : (live.get(at) ?? rows.find((one) => one.client_order_id === at));
  useOrderKeys(order, onAct);
  if (pages.isLoading && rows.length === 0) return <Skeleton lines={12} />;
  return (
    <>
      <BlotterHead rows={rows} isComplete={pages.isComplete} asked={asked} onAct={onAct} />
      <ErrorNote error={pages.error} onAgain={pages.again} />
      <DataTable
        label="Orders"
        keys="Orders"
        rows={rows}
        columns={COLUMNS}
        rowId={(row) => row.client_order_id}
        rowClass={(row) => rowClass(row, chosen)}
        onOpen={(row) => navigateKeeping(row.client_order_id)}
        onActive={(row) => setActive(row?.client_order_id ?? null)}
        onEnd={pages.more}
        empty={
          <EmptyState title="No orders">
            {isFiltered(filters) ? "None fits the filters." : "Orders of strategies and of people appear here at once."}
          </EmptyState>
        }
      />
    </>
  );
}

function rowClass(order: Order, chosen: string | null): string {
  const open = order.client_order_id === chosen ? "chosen" : "";
  return order.outcome === "UNKNOWN" ? `bad ${open}` : open;
}

/** Open a story without losing the filters. */
export function navigateKeeping(orderId: string | null): void {
  const query = location.hash.split("?")[1];
  if (orderId === null) navigate("orders");
  else navigate("orders", orderId);
  if (query) location.hash += `?${query}`;
}

function useSpan(filters: Filters): { since: string | null; until: string | null } {
  const { range, since, until } = filters;
  const [now] = useState(() => ({ key: "", ms: Date.now() }));
  return useMemo(() => {
    const key = `${range} ${since} ${until}`;
    if (now.key !== key) Object.assign(now, { key, ms: Date.now() });
    return spanOf({ ...filters, range, since, until }, now.ms);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the other filters do not change the span
  }, [range, since, until, now]);
}

function useOrderKeys(order: Order | undefined, onAct: (act: Act) => void): void {
  const mayCancel = useRefusal("cancel");
  const mayTrade = useRefusal("trade");
  const act = (name: "cancel" | "modify", refusal: string | null): void => {
    if (!order) toast("Choose an order first: j and k.");
    else if (refusal) toast(refusal);
    else onAct({ do: name, order });
  };
  useKeys("Order", [
    {
      keys: "c",
      about: "Cancel the order",
      run: () => act("cancel", mayCancel ?? (order ? cancelRefusal(order) : null)),
    },
    {
      keys: "m",
      about: "Modify the order",
      run: () => act("modify", mayTrade ?? (order ? modifyRefusal(order) : null)),
    },
    { keys: "/", about: "Search", run: () => document.getElementById("orders-search")?.focus() },
  ]);
}

function BlotterHead({
  rows,
  isComplete,
  asked,
  onAct,
}: {
  rows: readonly Order[];
  isComplete: boolean;
  asked: ReturnType<typeof askedOf>;
  onAct: (act: Act) => void;
}): ReactElement {
  const refusal = useRefusal("cancel");
  const open = useMemo(() => rows.filter(isUnfinished), [rows]);
  return (
    <div className="blotter-head">
      <p className="note" role="status">
        {rows.length.toLocaleString("en")} {rows.length === 1 ? "order" : "orders"}
        {isComplete ? "" : ", more as you scroll"}; {open.length.toLocaleString("en")} without an end
      </p>
      <div className="panel-actions">
        <Action
          className="small"
          refusal={refusal ?? (open.length ? null : "None of the shown orders can be cancelled.")}
          onClick={() => onAct({ do: "cancel-all", orders: open })}
        >
          Cancel all shown…
        </Action>
        <a className="button small" href={address("/orders.csv", asked)} download>
          CSV
        </a>
      </div>
    </div>
  );
}
