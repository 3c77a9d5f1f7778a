/** Orders and fills: what is in doubt on top, the blotter, and the story of the order that is chosen. */

import { Tabs } from "radix-ui";
import { useCallback, useMemo, useState, type ReactElement } from "react";
import { replaceQuery, useRoute } from "../../app/routes";
import { useParts } from "../../live/live";
import { ActDialog, type Act } from "./acting";
import { Blotter } from "./Blotter";
import { FillsTable } from "./FillsTable";
import { FilterBar } from "./FilterBar";
import { filtersOf, withFilters, type Filters } from "./filters";
import "./orders.css";
import { useSlowPart } from "./paging";
import { Story } from "./Story";
import { UnknownOrders } from "./UnknownOrders";

const EVERY_MS = 300;

export default function OrdersView(): ReactElement {
  useParts("orders", "fills");
  const route = useRoute();
  const orders = useSlowPart("orders", EVERY_MS);
  const [act, setAct] = useState<Act | null>(null);
  const [strategies, setStrategies] = useState<readonly string[]>([]);
  const text = route.query.toString();
  const filters = useMemo(() => filtersOf(new URLSearchParams(text)), [text]);
  const tab = route.query.get("show") === "fills" ? "fills" : "orders";
  const chosen = route.rest[0] ?? null;
  const change = (more: Partial<Filters>): void => replaceQuery(withFilters(route.query, { ...filters, ...more }));
  const show = (name: string): void => {
    const query = new URLSearchParams(route.query);
    if (name === "fills") query.set("show", "fills");
    else query.delete("show");
    replaceQuery(query);
  };
  const keepStrategies = useCallback(
    (names: readonly string[]) => setStrategies((before) => joined(before, names)),
    [],
  );
  return (
    <div className={chosen === null ? "orders" : "orders with-story"}>
      <div className="orders-main">
        <UnknownOrders orders={orders} onAct={setAct} />
        <Tabs.Root value={tab} onValueChange={show} className="panel orders-panel">
          <Tabs.List className="tabs" aria-label="Orders or fills">
            <Tabs.Trigger value="orders">Orders</Tabs.Trigger>
            <Tabs.Trigger value="fills">Fills</Tabs.Trigger>
          </Tabs.List>
          <FilterBar filters={filters} strategies={strategies} onChange={change} withStatus={tab === "orders"} />
          <Tabs.Content value="orders" tabIndex={-1}>
            <Blotter filters={filters} live={orders} chosen={chosen} onAct={setAct} onStrategies={keepStrategies} />
          </Tabs.Content>
          <Tabs.Content value="fills" tabIndex={-1}>
            <FillsTable filters={filters} />
          </Tabs.Content>
        </Tabs.Root>
      </div>
      {chosen === null ? null : <Story key={chosen} orderId={chosen} onAct={setAct} />}
      {act ? <ActDialog act={act} onClose={() => setAct(null)} /> : null}
    </div>
  );
}

function joined(before: readonly string[], names: readonly string[]): readonly string[] {
  const missing = names.filter((name) => !before.includes(name));
  return missing.length ? [...before, ...missing].sort() : before;
}
