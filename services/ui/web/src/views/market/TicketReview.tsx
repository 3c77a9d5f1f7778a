/** The second half of the ticket: what the platform says of the order, its confirmation, and what became of it. */

import { useEffect, useRef, useState, type ReactElement } from "react";
import { ApiProblem, send } from "../../api/client";
import type { Instrument, OrderPreview } from "../../api/types";
import { useKeys } from "../../app/keys";
import { href } from "../../app/routes";
import { targetOf } from "../../app/signs";
import { live, usePart } from "../../live/live";
import { number, words } from "../../money/format";
import { ErrorNote, Skeleton } from "../../shown/notes";
import { Amount, SideTag } from "../../shown/quantities";
import { OrderState } from "./OursPanel";
import { edit, notionalOf, orderOf, toStage, useTicket, type Ticket } from "./ticket";

interface Previewed {
  preview: OrderPreview | null;
  failed: unknown;
}

/** What the platform says of the order, before it is one. */
function usePreview(ticket: Ticket, instrument: Instrument): Previewed {
  const [told, setTold] = useState<Previewed>({ preview: null, failed: null });
  useEffect(() => {
    let isGone = false;
    send<OrderPreview>("POST", "/orders/preview", orderOf(ticket, instrument)).then(
      (preview) => !isGone && setTold({ preview, failed: null }),
      (failed: unknown) => !isGone && setTold({ preview: null, failed }),
    );
    return () => {
      isGone = true;
    };
  }, [ticket, instrument]);
  return told;
}

export function Review({ instrument }: { instrument: Instrument }): ReactElement {
  const ticket = useTicket((now) => now.ticket);
  const orderId = useTicket((now) => now.orderId);
  const { preview, failed } = usePreview(ticket, instrument);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const mayConfirm = preview ? preview.accepted : isUnanswered(failed);
  useEffect(() => {
    if (mayConfirm) button.current?.focus();
  }, [mayConfirm]);
  const confirm = async (): Promise<void> => {
    if (!mayConfirm || isBusy) return;
    setBusy(true);
    setError(null);
    try {
      await send("POST", "/orders", orderOf(ticket, instrument, orderId));
      toStage("sent");
    } catch (problem) {
      setError(problem);
      setBusy(false);
      // Taken before: the first attempt's answer was lost, not the order.
      if (problem instanceof ApiProblem && problem.status === 409) toStage("sent");
    }
  };
  useKeys("Order ticket", [
    { keys: "Escape", about: "Back to the ticket", run: () => toStage("edit"), inFields: true },
    { keys: "Enter", about: "Confirm the order", run: () => void confirm() },
  ]);
  return (
    <div className="ticket-review">
      <h3>
        <SideTag side={ticket.side} /> {ticket.size} {instrument.base_currency}{" "}
        {ticket.orderType === "MARKET" ? "at the market" : `at ${number(ticket.price)} ${instrument.quote_currency}`}
      </h3>
      <Facts instrument={instrument} preview={preview} />
      {preview ? <Verdict preview={preview} /> : failed ? null : <Skeleton lines={3} />}
      <ErrorNote error={failed} />
      {failed && mayConfirm ? (
        <p className="warn-text">The platform could not say what it would do. You may send it all the same.</p>
      ) : null}
      <ErrorNote error={error} />
      <RealMoney />
      <div className="dialog-actions">
        <button type="button" onClick={() => toStage("edit")}>
          Back
        </button>
        <button
          type="button"
          ref={button}
          className={`review-button ${ticket.side === "BUY" ? "buy" : "sell"}`}
          disabled={!mayConfirm || isBusy}
          onClick={() => void confirm()}
        >
          {isBusy ? "Sending" : `Confirm ${ticket.side === "BUY" ? "buy" : "sell"}`}
        </button>
      </div>
    </div>
  );
}

/** The platform did not say no: it did not say anything, or is of a version that has no previews. */
function isUnanswered(problem: unknown): boolean {
  return problem instanceof ApiProblem && ([0, 404, 405].includes(problem.status) || problem.status >= 500);
}

function RealMoney(): ReactElement | null {
  const isReal = usePart("health", (health) => targetOf(health?.destination ?? "") === "real");
  return isReal ? <p className="notice bad">This order goes to a real exchange.</p> : null;
}

function Facts({ instrument, preview }: { instrument: Instrument; preview: OrderPreview | null }): ReactElement {
  const ticket = useTicket((now) => now.ticket);
  const worth = preview?.notional ?? notionalOf(ticket, live.get("prices").get(instrument.instrument_id));
  const rules = [
    ticket.orderType === "LIMIT" ? ticket.timeInForce : "",
    ticket.postOnly ? "post only" : "",
    ticket.reduceOnly ? "reduce only" : "",
  ].filter(Boolean);
  return (
    <dl className="facts">
      <div>
        <dt>Worth</dt>
        <dd>
          <Amount value={worth} decimals={2} unit={instrument.quote_currency} />
        </dd>
      </div>
      <div>
        <dt>Fee, about</dt>
        <dd>
          <Amount value={preview?.fee_estimate} unit={preview?.fee_currency ?? ""} />
        </dd>
      </div>
      {rules.length ? (
        <div>
          <dt>Rules</dt>
          <dd>{rules.join(", ")}</dd>
        </div>
      ) : null}
      <BalanceAfter after={preview?.balance_after} />
    </dl>
  );
}

/** What would be free of what the order spends. */
function BalanceAfter({ after }: { after: Record<string, string> | undefined }): ReactElement {
  return (
    <>
      {Object.entries(after ?? {}).map(([currency, amount]) => (
        <div key={currency}>
          <dt>Free after it</dt>
          <dd>
            <Amount value={amount} unit={currency} />
          </dd>
        </div>
      ))}
    </>
  );
}

function Verdict({ preview }: { preview: OrderPreview }): ReactElement {
  return (
    <>
      {preview.limits.length ? (
        <table className="limits">
          <caption className="hidden">Limits after this order</caption>
          <tbody>
            {preview.limits.map((limit) => (
              <tr key={`${limit.scope} ${limit.name}`} className={isOver(limit.would_use, limit.limit) ? "bad" : ""}>
                <th scope="row">
                  {words(limit.name)} <span className="muted">{limit.scope}</span>
                </th>
                <td className="num">
                  <Amount value={limit.would_use} decimals={2} /> of <Amount value={limit.limit} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      {preview.accepted ? null : (
        <div className="error-note" role="alert">
          <strong>It would be refused</strong>
          <ul>
            {preview.problems.map((problem) => (
              <li key={problem}>{problem}</li>
            ))}
          </ul>
        </div>
      )}
      {preview.trading_state !== "ACTIVE" ? (
        <p className="warn-text">Trading is {preview.trading_state.toLowerCase()}.</p>
      ) : null}
    </>
  );
}

function isOver(used: string, limit: string): boolean {
  return Number(used) > Number(limit);
}

/** The order's state as the stream tells it. */
export function Sent(): ReactElement {
  const orderId = useTicket((now) => now.orderId);
  const order = usePart("orders", (orders) => orders.get(orderId));
  const again = useRef<HTMLButtonElement>(null);
  const another = (): void => edit({ size: "" });
  useEffect(() => again.current?.focus(), []);
  useKeys("Order ticket", [
    { keys: "Escape", about: "Another order", run: another },
    { keys: "b", about: "Buy", run: () => edit({ side: "BUY", size: "" }) },
    { keys: "s", about: "Sell", run: () => edit({ side: "SELL", size: "" }) },
  ]);
  return (
    <div className="ticket-sent" role="status">
      <h3>{order ? <OrderState order={order} /> : "On its way"}</h3>
      {order ? (
        <>
          <p>
            <SideTag side={order.side} /> <Amount value={order.filled_size} /> of <Amount value={order.size} /> filled
            {order.price ? (
              <>
                {" "}
                at <Amount value={order.price} />
              </>
            ) : null}
          </p>
          {order.reason ? <p className="error-note">{order.reason}</p> : null}
        </>
      ) : (
        <p className="soft">The platform has taken it; its state follows.</p>
      )}
      <p>
        <a href={href("orders", orderId)}>Its story</a>
      </p>
      <button type="button" className="primary wide" ref={again} onClick={another}>
        Another order
      </button>
    </div>
  );
}
