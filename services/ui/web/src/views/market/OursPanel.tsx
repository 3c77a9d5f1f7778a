/** What of ours is in this instrument: open orders, fills, positions. */

import { Tabs } from "radix-ui";
import { memo, useMemo, useState, type ReactElement } from "react";
import { send } from "../../api/client";
import type { Fill, Instrument, Order, Position } from "../../api/types";
import { useKeys } from "../../app/keys";
import { href } from "../../app/routes";
import { usePart } from "../../live/live";
import { byTime, isUnfinished } from "../../live/model";
import { decimal, subtract, text } from "../../money/decimal";
import { session, useMay } from "../../session/session";
import { DataTable, type Column } from "../../shown/DataTable";
import { EmptyState } from "../../shown/notes";
import { Age, Amount, Money, PriceText, SideTag, StatusBadge, Time } from "../../shown/quantities";
import { toast } from "../../shown/toasts";

export async function cancelOrder(order: Order): Promise<void> {
  try {
    await send("DELETE", `/orders/${encodeURIComponent(order.client_order_id)}`);
    toast(`Cancel of ${order.client_order_id} is on its way.`);
  } catch (error) {
    toast(error instanceof Error ? error.message : "The cancel was not taken.", "bad");
  }
}

const ORDERS: readonly Column<Order>[] = [
  {
    id: "time",
    title: "Time",
    value: (order) => order.ts_init,
    cell: (order) => <Time ns={order.ts_init} />,
    hide: "narrow",
  },
  { id: "strategy", title: "Strategy", value: (order) => order.strategy_id, hide: "middle" },
  { id: "side", title: "Side", value: (order) => order.side, cell: (order) => <SideTag side={order.side} /> },
  { id: "type", title: "Type", value: (order) => order.order_type, hide: "middle" },
  {
    id: "price",
    title: "Price",
    align: "number",
    value: (order) => Number(order.price),
    cell: (order) => <PriceText value={order.price} />,
  },
  {
    id: "left",
    title: "Left",
    align: "number",
    value: (order) => Number(order.size) - Number(order.filled_size),
    cell: (order) => <Amount value={leftOf(order)} />,
  },
  {
    id: "filled",
    title: "Filled",
    align: "number",
    value: (order) => Number(order.filled_size),
    cell: (order) => <Amount value={order.filled_size} />,
    hide: "middle",
  },
  {
    id: "status",
    title: "Status",
    value: (order) => order.status,
    cell: (order) => <OrderState order={order} />,
    hide: "narrow",
  },
  {
    id: "cancel",
    title: "Act",
    className: "acts",
    isFixed: true,
    value: () => "",
    cell: (order) =>
      session.may("cancel") ? (
        <button
          type="button"
          className="small"
          aria-label={`Cancel ${order.client_order_id}`}
          onClick={() => void cancelOrder(order)}
        >
          Cancel
        </button>
      ) : null,
  },
];

/** Sums and sizes that a mantissa stands for cannot be reckoned with. */
function leftOf(order: Order): string {
  if (order.size.includes("(")) return order.size;
  return text(subtract(decimal(order.size), decimal(order.filled_size)));
}

export function OrderState({ order }: { order: Order }): ReactElement {
  if (order.outcome === "UNKNOWN") {
    return (
      <span className="badge bad">
        Unknown for <Age ns={order.unknown_since} />
      </span>
    );
  }
  return <StatusBadge state={order.status} />;
}

const FILLS: readonly Column<Fill>[] = [
  { id: "time", title: "Time", value: (fill) => fill.ts_init, cell: (fill) => <Time ns={fill.ts_init} /> },
  { id: "strategy", title: "Strategy", value: (fill) => fill.strategy_id, hide: "middle" },
  { id: "side", title: "Side", value: (fill) => fill.side, cell: (fill) => <SideTag side={fill.side} /> },
  {
    id: "price",
    title: "Price",
    align: "number",
    value: (fill) => Number(fill.price),
    cell: (fill) => <PriceText value={fill.price} />,
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
    hide: "middle",
  },
  { id: "liquidity", title: "Liquidity", value: (fill) => fill.liquidity_side.toLowerCase(), hide: "middle" },
];

const POSITIONS: readonly Column<Position>[] = [
  { id: "strategy", title: "Strategy", value: (row) => row.strategy_id },
  {
    id: "size",
    title: "Size",
    align: "number",
    value: (row) => Number(row.signed_size),
    cell: (row) => <Amount value={row.signed_size} />,
  },
  {
    id: "average",
    title: "Average",
    align: "number",
    value: (row) => Number(row.average_price),
    cell: (row) => <Amount value={row.average_price} decimals={2} />,
    hide: "narrow",
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

export const OursPanel = memo(function OursPanel({ instrument }: { instrument: Instrument }): ReactElement {
  const id = instrument.instrument_id;
  const orders = usePart("orders");
  const [tab, setTab] = useState("orders");
  const open = useMemo(
    () =>
      [...orders.values()]
        .filter((order) => order.instrument_id === id && isUnfinished(order))
        .sort(
          (a, b) => Number(b.outcome === "UNKNOWN") - Number(a.outcome === "UNKNOWN") || byTime(b.ts_init, a.ts_init),
        ),
    [orders, id],
  );
  const mayCancel = useMay("cancel");
  const cancelLast = (): void => {
    const last = open.find((order) => order.strategy_id === "manual") ?? null;
    if (last) void cancelOrder(last);
    else toast("No open order by hand in this instrument.");
  };
  useKeys("Open orders", mayCancel ? [{ keys: "c", about: "Cancel the last order by hand", run: cancelLast }] : []);
  return (
    <section className="panel ours" aria-label="Ours in this instrument">
      <Tabs.Root value={tab} onValueChange={setTab} className="ours-tabs">
        <div className="tabs">
          <Tabs.List className="tab-list" aria-label="What of ours">
            <Tabs.Trigger value="orders">Open orders {open.length}</Tabs.Trigger>
            <Tabs.Trigger value="fills">Fills</Tabs.Trigger>
            <Tabs.Trigger value="positions">Positions</Tabs.Trigger>
          </Tabs.List>
          <a className="tabs-link" href={href("orders")}>
            All orders
          </a>
        </div>
        <Tabs.Content value="orders" tabIndex={-1}>
          <DataTable
            label="Open orders"
            rows={open}
            columns={ORDERS}
            rowId={(order) => order.client_order_id}
            rowClass={(order) => (order.outcome === "UNKNOWN" ? "warn" : "")}
            empty={<EmptyState title="No open orders in this instrument" />}
          />
        </Tabs.Content>
        <Tabs.Content value="fills" tabIndex={-1}>
          <Fills id={id} />
        </Tabs.Content>
        <Tabs.Content value="positions" tabIndex={-1}>
          <Positions id={id} />
        </Tabs.Content>
      </Tabs.Root>
    </section>
  );
});

function Fills({ id }: { id: string }): ReactElement {
  const fills = usePart("fills");
  const rows = useMemo(() => fills.filter((fill) => fill.instrument_id === id).toReversed(), [fills, id]);
  return (
    <DataTable
      label="Fills"
      rows={rows}
      columns={FILLS}
      rowId={(fill) => `${fill.account_id} ${fill.trade_id} ${fill.client_order_id}`}
      empty={<EmptyState title="No fills in this instrument lately" />}
    />
  );
}

function Positions({ id }: { id: string }): ReactElement {
  const positions = usePart("positions");
  const rows = useMemo(() => positions.filter((row) => row.instrument_id === id), [positions, id]);
  return (
    <DataTable
      label="Positions"
      rows={rows}
      columns={POSITIONS}
      rowId={(row) => `${row.account_id} ${row.strategy_id}`}
      empty={<EmptyState title="No position in this instrument" />}
    />
  );
}
