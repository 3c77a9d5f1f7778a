/** One order's whole story: where it stands, the picture of its steps, and every event with what it says. */

import { useEffect, useRef, useState, type ReactElement } from "react";
import type { Order } from "../../api/types";
import { useKeys } from "../../app/keys";
import { href } from "../../app/routes";
import { usePart } from "../../live/live";
import { trimmed, words } from "../../money/format";
import { Action, useRefusal } from "../../shown/Action";
import { useAsked } from "../../shown/asking";
import { ErrorNote, Skeleton } from "../../shown/notes";
import { Amount, SideTag, Time } from "../../shown/quantities";
import { cancelRefusal, modifyRefusal, type Act } from "./acting";
import { navigateKeeping, OrderStatus } from "./Blotter";
import { TimelinePicture } from "./TimelinePicture";
import type { Step } from "./timeline";

interface StoryEvent {
  type: string;
  sequence: number;
  status: string;
  event_id: string;
  causation_id: string;
  ts_event: string;
  ts_init: string;
  details: Record<string, string | boolean | null>;
}

interface OrderStory {
  order: Order;
  events: StoryEvent[];
  timeline?: Step[];
}

export function Story({ orderId, onAct }: { orderId: string; onAct: (act: Act) => void }): ReactElement {
  const live = usePart("orders", (orders) => orders.get(orderId));
  const story = useAsked<OrderStory>(`/orders/${encodeURIComponent(orderId)}`);
  const { again } = story;
  const told = live?.ts_last;
  const shown = story.data?.order.ts_last;
  // A later event has come over the stream than the ones that are shown. The store may be a moment behind it.
  useEffect(() => {
    if (!told || !shown || told === shown) return;
    const timer = setTimeout(again, 300);
    return () => clearTimeout(timer);
  }, [told, shown, again]);
  useKeys("Story", [{ keys: "Escape", about: "Close the story", run: () => navigateKeeping(null) }]);
  const order = live ?? story.data?.order;
  return (
    <aside className="story panel" aria-label={`Story of ${orderId}`}>
      <header>
        <h2 className="order-id">{orderId}</h2>
        <div className="panel-actions">
          <button type="button" className="plain" aria-label="Close the story" onClick={() => navigateKeeping(null)}>
            {"\u00D7"}
          </button>
        </div>
      </header>
      <div className="panel-body story-body">
        <ErrorNote error={story.error} onAgain={again} />
        {order ? <OrderFacts order={order} onAct={onAct} /> : story.isLoading ? <Skeleton lines={6} /> : null}
        {story.data ? <StoryParts story={story.data} /> : null}
      </div>
    </aside>
  );
}

function OrderFacts({ order, onAct }: { order: Order; onAct: (act: Act) => void }): ReactElement {
  const mayCancel = useRefusal("cancel");
  const mayTrade = useRefusal("trade");
  const mayRisk = useRefusal("risk");
  const type = [
    words(order.order_type),
    order.time_in_force,
    order.post_only ? "post only" : "",
    order.reduce_only ? "reduce only" : "",
  ];
  return (
    <>
      <p className="story-line">
        <SideTag side={order.side} /> <Amount value={order.size} /> {order.instrument_id}{" "}
        {order.price === null ? "at the market" : <>at {trimmed(order.price)}</>} <OrderStatus order={order} />
      </p>
      <dl className="facts">
        <Fact title="Strategy">
          <a href={href("strategies", order.strategy_id)}>{order.strategy_id}</a>
        </Fact>
        <Fact title="Type">{type.filter(Boolean).join(", ")}</Fact>
        <Fact title="Filled">
          <Amount value={order.filled_size} /> of <Amount value={order.size} />
        </Fact>
        <Fact title="Venue's id">{order.venue_order_id ?? "\u2013"}</Fact>
        <Fact title="Made">
          <Time ns={order.ts_init} withDate />
        </Fact>
        <Fact title="Last word">
          <Time ns={order.ts_last} withDate />
        </Fact>
        {order.reason ? <Fact title="Reason">{order.reason}</Fact> : null}
      </dl>
      <div className="story-actions">
        <Action
          className="small"
          refusal={mayCancel ?? cancelRefusal(order)}
          onClick={() => onAct({ do: "cancel", order })}
        >
          Cancel…
        </Action>
        <Action
          className="small"
          refusal={mayTrade ?? modifyRefusal(order)}
          onClick={() => onAct({ do: "modify", order })}
        >
          Modify…
        </Action>
        {order.outcome === "UNKNOWN" ? (
          <Action className="small" refusal={mayRisk} onClick={() => onAct({ do: "resolve", order })}>
            Resolve…
          </Action>
        ) : null}
        {order.strategy_id === "EXTERNAL" && !order.is_closed ? (
          <Action className="small" refusal={mayRisk} onClick={() => onAct({ do: "claim", order })}>
            Claim…
          </Action>
        ) : null}
      </div>
    </>
  );
}

function Fact({ title, children }: { title: string; children: React.ReactNode }): ReactElement {
  return (
    <div>
      <dt>{title}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function StoryParts({ story }: { story: OrderStory }): ReactElement {
  return (
    <>
      <h3>How it went</h3>
      <TimelinePicture steps={story.timeline ?? stepsOf(story.events)} />
      <Related order={story.order} />
      <h3>Events</h3>
      <ol className="events">
        {story.events.map((event) => (
          <EventLine key={event.event_id} event={event} />
        ))}
      </ol>
    </>
  );
}

/** The steps that the events alone tell of, while the api does not tell more. */
function stepsOf(events: readonly StoryEvent[]): Step[] {
  return events.map((event) => ({
    step: words(event.type.replace(/^Order/, "")),
    ts: event.ts_init,
    since_previous_ns: null,
    event_id: event.event_id,
    note: null,
  }));
}

/** Other orders of the same story: what replaced it, what closed it. */
function Related({ order }: { order: Order }): ReactElement | null {
  const path = order.correlation_id ? `/orders/by-correlation/${encodeURIComponent(order.correlation_id)}` : null;
  const asked = useAsked<{ orders: Order[] } | Order[]>(path);
  const all = Array.isArray(asked.data) ? asked.data : (asked.data?.orders ?? []);
  const others = all.filter((one) => one.client_order_id !== order.client_order_id);
  if (!others.length) return null;
  return (
    <>
      <h3>Of the same story</h3>
      <ul className="related">
        {others.map((one) => (
          <li key={one.client_order_id}>
            <a href={href("orders", one.client_order_id)}>{one.client_order_id}</a> <OrderStatus order={one} />
          </li>
        ))}
      </ul>
    </>
  );
}

function EventLine({ event }: { event: StoryEvent }): ReactElement {
  const details = Object.entries(event.details).filter(([, value]) => value !== null && value !== "");
  const [isOpen, setOpen] = useState(false);
  const line = useRef<HTMLDetailsElement>(null);
  return (
    <li>
      <details ref={line} open={isOpen} onToggle={(toggled) => setOpen(toggled.currentTarget.open)}>
        <summary>
          <Time ns={event.ts_init} />{" "}
          <strong>{words(event.type.replace(/^Order/, "").replace(/([a-z])([A-Z])/g, "$1_$2"))}</strong>
        </summary>
        <dl className="facts">
          {details.map(([name, value]) => (
            <Fact key={name} title={words(name)}>
              {typeof value === "boolean" ? (value ? "yes" : "no") : value}
            </Fact>
          ))}
          <Fact title="Status after it">{words(event.status)}</Fact>
          <Fact title="Venue's time">
            <Time ns={event.ts_event} withDate />
          </Fact>
          <Fact title="Event id">
            <code>{event.event_id}</code>
          </Fact>
          {event.causation_id ? (
            <Fact title="Caused by">
              <code>{event.causation_id}</code>
            </Fact>
          ) : null}
        </dl>
      </details>
    </li>
  );
}
