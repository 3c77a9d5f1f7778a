/** What can be done to orders: cancel one or many, modify, resolve a doubt. Each asks before it acts, or can be taken back. */

import { useState, type ReactElement } from "react";
import { send } from "../../api/client";
import type { Order, Taken } from "../../api/types";
import { isUnfinished } from "../../live/model";
import { compare, parse } from "../../money/decimal";
import { trimmed, words } from "../../money/format";
import { ConfirmDialog } from "../../shown/dialogs";
import { Age, Amount, SideTag } from "../../shown/quantities";
import { toast } from "../../shown/toasts";

export type Act =
  { do: "cancel" | "modify" | "resolve" | "claim"; order: Order } | { do: "cancel-all"; orders: Order[] };

const AT_ONCE = 4;

function path(order: Order, tail = ""): string {
  return `/orders/${encodeURIComponent(order.client_order_id)}${tail}`;
}

/** Why an order cannot be modified; null when it can. */
export function modifyRefusal(order: Order): string | null {
  if (order.is_closed) return `It is ${words(order.status).toLowerCase()}: there is nothing left to modify.`;
  if (order.outcome === "UNKNOWN") return "Its outcome is unknown. Nothing is sent again before it is known.";
  if (order.order_type !== "LIMIT") return "Only limit orders can be modified. Cancel it and send another one.";
  return null;
}

/** Why an order cannot be cancelled; null when it can. */
export function cancelRefusal(order: Order): string | null {
  return isUnfinished(order) ? null : `It is ${words(order.status).toLowerCase()} already.`;
}

export function ActDialog({ act, onClose }: { act: Act; onClose: () => void }): ReactElement {
  if (act.do === "cancel-all") return <CancelAll orders={act.orders} onClose={onClose} />;
  if (act.do === "modify") return <Modify order={act.order} onClose={onClose} />;
  if (act.do === "resolve") return <Resolve order={act.order} onClose={onClose} />;
  if (act.do === "claim") return <Claim order={act.order} onClose={onClose} />;
  return <Cancel order={act.order} onClose={onClose} />;
}

function Summary({ order }: { order: Order }): ReactElement {
  return (
    <p className="order-summary">
      <SideTag side={order.side} /> <Amount value={order.size} /> {order.instrument_id}{" "}
      {order.price === null ? "at the market" : <>at {trimmed(order.price)}</>}, {order.strategy_id},{" "}
      {words(order.status).toLowerCase()}
      {order.filled_size && !/^0*\.?0*$/.test(order.filled_size) ? <>, filled {trimmed(order.filled_size)}</> : null}
    </p>
  );
}

function Cancel({ order, onClose }: { order: Order; onClose: () => void }): ReactElement {
  const cancel = async (): Promise<void> => {
    await send("DELETE", path(order));
    toast(`The cancel of ${order.client_order_id} is on its way.`);
  };
  return (
    <ConfirmDialog
      title={`Cancel ${order.client_order_id}`}
      open
      onClose={onClose}
      action="Cancel order"
      reason="none"
      onConfirm={cancel}
    >
      <Summary order={order} />
      <p className="soft">What has been filled until the venue takes the cancel stays filled.</p>
    </ConfirmDialog>
  );
}

function CancelAll({ orders, onClose }: { orders: Order[]; onClose: () => void }): ReactElement {
  const strategies = [...new Set(orders.map((order) => order.strategy_id))].sort();
  const [done, setDone] = useState<number | null>(null);
  const cancel = async (): Promise<void> => {
    const refused = await cancelled(orders, setDone);
    if (refused.length) throw new Error(`${refused.length} of ${orders.length} were not taken: ${refused[0] ?? ""}`);
    toast(`${orders.length} cancels are on their way.`, "good");
  };
  return (
    <ConfirmDialog
      title={`Cancel ${orders.length} shown orders`}
      open
      onClose={onClose}
      danger
      action={`Cancel ${orders.length} orders`}
      reason="none"
      onConfirm={cancel}
    >
      <p>
        One cancel each for the <strong>{orders.length}</strong> orders without an end that the filters show now, of{" "}
        {strategies.length > 4 ? `${strategies.length} strategies` : strategies.join(", ")}.
      </p>
      <p className="soft">
        Strategies that run may send new ones. To stop that, halt the strategy or the firm under Risk.
      </p>
      {done === null ? null : (
        <p role="status">
          <progress max={orders.length} value={done} aria-label="Cancels given" /> {done} of {orders.length}
        </p>
      )}
    </ConfirmDialog>
  );
}

/** Ask for all of them, a few at a time; what was refused, in sentences. An order that has ended meanwhile is no failure. */
async function cancelled(orders: readonly Order[], onDone: (count: number) => void): Promise<string[]> {
  const waiting = [...orders];
  const refused: string[] = [];
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let order = waiting.shift(); order; order = waiting.shift()) {
      try {
        await send("DELETE", path(order));
      } catch (error) {
        const status = (error as { status?: number }).status;
        if (status !== 409) refused.push(error instanceof Error ? error.message : "no answer");
      }
      onDone(++done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return refused;
}

/** What is wrong with a wanted price or size; null when nothing is. */
export function valueProblem(value: string, name: string): string | null {
  const exact = parse(value);
  if (!exact || exact.mantissa <= 0n) return `The ${name} is a number above zero.`;
  return null;
}

function Modify({ order, onClose }: { order: Order; onClose: () => void }): ReactElement {
  const [price, setPrice] = useState(order.price ?? "");
  const [size, setSize] = useState(order.size);
  const problem = valueProblem(price, "price") ?? valueProblem(size, "size") ?? belowFilled(size, order.filled_size);
  const isSame = price === order.price && size === order.size;
  const modify = async (why: string): Promise<void> => {
    const body = {
      ...(price === order.price ? {} : { price }),
      ...(size === order.size ? {} : { size }),
      ...(why ? { why } : {}),
    };
    const taken = await send<Taken>("PATCH", path(order), body);
    toast(`The change is on its way. What replaces it: ${taken.client_order_id ?? "a new order of the same story"}.`);
  };
  return (
    <ConfirmDialog
      title={`Modify ${order.client_order_id}`}
      open
      onClose={onClose}
      steps={2}
      action="Replace order"
      reason="optional"
      isReady={problem === null && !isSame}
      onConfirm={modify}
      review={<ModifyReview order={order} price={price} size={size} />}
    >
      <Summary order={order} />
      <Field title="Price" value={price} onChange={setPrice} />
      <Field title="Size, with what is filled already" value={size} onChange={setSize} />
      {problem ? <p className="problem">{problem}</p> : null}
    </ConfirmDialog>
  );
}

function belowFilled(size: string, filled: string): string | null {
  const wanted = parse(size);
  const done = parse(filled);
  return wanted && done && compare(wanted, done) <= 0
    ? `${trimmed(filled)} is filled already: cancel it in place of that.`
    : null;
}

function Field({
  title,
  value,
  onChange,
}: {
  title: string;
  value: string;
  onChange: (value: string) => void;
}): ReactElement {
  return (
    <label className="field">
      <span>{title}</span>
      <input inputMode="decimal" autoComplete="off" value={value} onChange={(event) => onChange(event.target.value)} />
    </label>
  );
}

function ModifyReview({ order, price, size }: { order: Order; price: string; size: string }): ReactElement {
  return (
    <ul>
      <li>
        Price: {trimmed(order.price)}{" "}
        {price === order.price ? (
          "(stays)"
        ) : (
          <strong>
            {"\u2192"} {trimmed(price)}
          </strong>
        )}
      </li>
      <li>
        Size: {trimmed(order.size)}{" "}
        {size === order.size ? (
          "(stays)"
        ) : (
          <strong>
            {"\u2192"} {trimmed(size)}
          </strong>
        )}
      </li>
      <li>The order is cancelled first. When the venue has confirmed that, a new order is sent with what is left.</li>
      <li>Between the two nothing of it rests at the venue, and its place in the queue is lost.</li>
    </ul>
  );
}

const RESOLUTIONS = [
  {
    value: "NOT_AT_VENUE",
    title: "The venue has never had it",
    help: "Neither its order list nor its trade list shows it. It counts as rejected; nothing of it was filled.",
  },
  {
    value: "CANCELED",
    title: "It was cancelled there",
    help: "The venue's page shows it as cancelled. If it has fills that we lack, this is still right: they are booked when the venue shows them.",
  },
  {
    value: "EXPIRED",
    title: "It expired there",
    help: "The venue's page shows it as expired.",
  },
] as const;

function Resolve({ order, onClose }: { order: Order; onClose: () => void }): ReactElement {
  const [choice, setChoice] = useState("");
  const [hasLooked, setLooked] = useState(false);
  const resolve = async (why: string): Promise<void> => {
    await send("POST", path(order, "/resolve"), { resolution: choice, why });
    toast(`Your word on ${order.client_order_id} is on its way.`);
  };
  const chosen = RESOLUTIONS.find((one) => one.value === choice);
  return (
    <ConfirmDialog
      title={`Resolve ${order.client_order_id}`}
      open
      onClose={onClose}
      danger
      steps={2}
      action="End the doubt"
      isReady={choice !== "" && hasLooked}
      onConfirm={resolve}
      review={
        <ul>
          <li>
            You say: <strong>{chosen?.title.toLowerCase()}</strong>.
          </li>
          <li>Its worst case no longer counts in risk; its strategy is told that it has ended.</li>
          <li>
            Your name, your word and your reason stand in the audit. If the venue shows it later, the venue is believed.
          </li>
        </ul>
      }
    >
      <Summary order={order} />
      <p>
        For <Age ns={order.unknown_since} /> nobody can tell what the venue did with it.{" "}
        <strong>Look at the venue&apos;s own page first.</strong> If it rests there or has filled there, do nothing: it
        is found and booked as soon as the venue answers.
      </p>
      <Choices value={choice} onChange={setChoice} />
      <label className="check">
        <input type="checkbox" checked={hasLooked} onChange={(event) => setLooked(event.target.checked)} />
        <span>I have looked at the venue&apos;s own page, orders and trades</span>
      </label>
    </ConfirmDialog>
  );
}

function Choices({ value, onChange }: { value: string; onChange: (value: string) => void }): ReactElement {
  return (
    <fieldset className="choices">
      <legend>What does the venue show?</legend>
      {RESOLUTIONS.map((one) => (
        <label key={one.value}>
          <input type="radio" name="resolution" checked={value === one.value} onChange={() => onChange(one.value)} />
          <span className="choice-title">{one.title}</span>
          <span className="choice-help">{one.help}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Claim({ order, onClose }: { order: Order; onClose: () => void }): ReactElement {
  const [strategy, setStrategy] = useState("manual");
  const claim = async (why: string): Promise<void> => {
    await send("POST", path(order, "/claim"), { strategy_id: strategy, why });
    toast(`${order.client_order_id} goes to ${strategy}.`);
  };
  return (
    <ConfirmDialog
      title={`Claim ${order.client_order_id}`}
      open
      onClose={onClose}
      action={`Give it to ${strategy}`}
      isReady={/^[a-z0-9][a-z0-9-]{0,22}[a-z0-9]$/.test(strategy)}
      onConfirm={claim}
    >
      <Summary order={order} />
      <p>Nobody of ours made this order. Its later fills go to the book of the strategy that you name.</p>
      <Field title="Strategy" value={strategy} onChange={setStrategy} />
    </ConfirmDialog>
  );
}
