/** Orders whose outcome nobody knows: above everything, whatever the filters say, with their age. */

import { useMemo, type ReactElement } from "react";
import type { Order } from "../../api/types";
import { href } from "../../app/routes";
import { byTime } from "../../live/model";
import { Action, useRefusal } from "../../shown/Action";
import { Age, Amount, SideTag } from "../../shown/quantities";
import type { Act } from "./acting";

export function UnknownOrders({
  orders,
  onAct,
}: {
  orders: ReadonlyMap<string, Order>;
  onAct: (act: Act) => void;
}): ReactElement | null {
  const refusal = useRefusal("risk");
  const unknown = useMemo(
    () =>
      [...orders.values()]
        .filter((order) => order.outcome === "UNKNOWN")
        .sort((a, b) => byTime(a.unknown_since ?? "", b.unknown_since ?? "")),
    [orders],
  );
  if (!unknown.length) return null;
  return (
    <section className="unknown" aria-label="Orders whose outcome is unknown">
      <h2>
        {unknown.length === 1 ? "1 order is in doubt" : `${unknown.length} orders are in doubt`}: nobody can tell what
        the venue did with it
      </h2>
      <p className="soft">
        Its worst case counts in risk, and the platform keeps asking the venue. Do not send it again. Resolve it only
        with proof.
      </p>
      <ul>
        {unknown.map((order) => (
          <li key={order.client_order_id}>
            <strong className="age">
              <Age ns={order.unknown_since} />
            </strong>
            <a href={href("orders", order.client_order_id)}>{order.client_order_id}</a>
            <SideTag side={order.side} />
            <span>
              <Amount value={order.size} /> {order.instrument_id}
            </span>
            <span className="soft">{order.strategy_id}</span>
            <Action
              className="small"
              label={`Resolve ${order.client_order_id}`}
              refusal={refusal}
              onClick={() => onAct({ do: "resolve", order })}
            >
              Resolve…
            </Action>
          </li>
        ))}
      </ul>
    </section>
  );
}
