/** The order ticket: write, review what the platform says of it, confirm, and see what became of it. */

import { memo, useEffect, useRef, useState, type KeyboardEvent, type ReactElement, type RefObject } from "react";
import type { Instrument, Side } from "../../api/types";
import { useKeys } from "../../app/keys";
import { live, usePart } from "../../live/live";
import { number } from "../../money/format";
import { useMay } from "../../session/session";
import { EmptyState, Panel } from "../../shown/notes";
import { Review, Sent } from "./TicketReview";
import {
  edit,
  notionalOf,
  plain,
  problemsOf,
  sizeOfShare,
  steppedPrice,
  steppedSize,
  toStage,
  useTicket,
  type OrderType,
  type Problems,
  type TimeInForce,
} from "./ticket";

export const TicketPanel = memo(function TicketPanel({ instrument }: { instrument: Instrument }): ReactElement {
  const mayTrade = useMay("trade");
  const stage = useTicket((now) => now.stage);
  return (
    <Panel title="Order" className="ticket">
      {!mayTrade ? (
        <EmptyState title="You may look, not trade">Ask an administrator for the role trader.</EmptyState>
      ) : stage === "edit" ? (
        <Write instrument={instrument} />
      ) : stage === "review" ? (
        <Review instrument={instrument} />
      ) : (
        <Sent />
      )}
    </Panel>
  );
});

const SHARES = [25, 50, 75, 100] as const;

function Write({ instrument }: { instrument: Instrument }): ReactElement {
  const ticket = useTicket((now) => now.ticket);
  const [isChecked, setChecked] = useState(false);
  const priceField = useRef<HTMLInputElement>(null);
  const sizeField = useRef<HTMLInputElement>(null);
  const problems = problemsOf(ticket, instrument);
  const priceOf = () => live.get("prices").get(instrument.instrument_id);
  const review = (): void => {
    if (!Object.keys(problems).length) {
      toStage("review");
      return;
    }
    setChecked(true);
    (problems.price ? priceField : sizeField).current?.focus();
  };
  const stepPrice = (steps: number): void =>
    edit({ orderType: "LIMIT", price: steppedPrice(ticket, instrument, priceOf(), steps) });
  useTicketKeys({ stepPrice, review, priceField, sizeField });
  return (
    <form
      className="ticket-form"
      onSubmit={(event) => {
        event.preventDefault();
        review();
      }}
    >
      <Sides side={ticket.side} />
      <Types instrument={instrument} />
      {ticket.orderType === "LIMIT" ? (
        <StepField
          label={`Price in ${instrument.quote_currency}`}
          hint={`steps of ${plain(instrument.price_increment)}`}
          value={ticket.price}
          problem={shownProblem(problems.price, ticket.price, isChecked)}
          field={priceField}
          onChange={(price) => edit({ price })}
          onStep={stepPrice}
        />
      ) : null}
      <StepField
        label={`Size in ${instrument.base_currency}`}
        hint={`steps of ${plain(instrument.size_increment)}`}
        value={ticket.size}
        problem={shownProblem(problems.size, ticket.size, isChecked)}
        field={sizeField}
        onChange={(size) => edit({ size })}
        onStep={(steps) => edit({ size: steppedSize(ticket, instrument, steps) })}
      />
      <Shares instrument={instrument} />
      <Conditions />
      <Cost instrument={instrument} />
      <button type="submit" className={`review-button ${ticket.side === "BUY" ? "buy" : "sell"}`}>
        Review {ticket.side === "BUY" ? "buy" : "sell"} {instrument.base_currency}
      </button>
    </form>
  );
}

interface TicketActions {
  stepPrice: (steps: number) => void;
  review: () => void;
  priceField: RefObject<HTMLInputElement | null>;
  sizeField: RefObject<HTMLInputElement | null>;
}

function useTicketKeys({ stepPrice, review, priceField, sizeField }: TicketActions): void {
  useKeys("Order ticket", [
    { keys: "b", about: "Buy", run: () => edit({ side: "BUY" }) },
    { keys: "s", about: "Sell", run: () => edit({ side: "SELL" }) },
    { keys: "l", about: "Limit order", run: () => edit({ orderType: "LIMIT" }) },
    { keys: "m", about: "Market order", run: () => edit({ orderType: "MARKET" }) },
    { keys: "p", about: "To the price", run: () => priceField.current?.select() },
    { keys: "q", about: "To the size", run: () => sizeField.current?.select() },
    {
      keys: "ArrowUp",
      about: "Price one step up (with Shift ten)",
      run: (event) => stepPrice(event.shiftKey ? 10 : 1),
    },
    { keys: "ArrowDown", about: "Price one step down", run: (event) => stepPrice(event.shiftKey ? -10 : -1) },
    { keys: "Enter", about: "Review, then confirm", run: review },
    { keys: "Escape", about: "Out of a field; back from the review", run: leaveField, inFields: true },
  ]);
}

function leaveField(): void {
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
}

/** An empty field is a problem only when somebody wanted to go on. */
function shownProblem(problem: Problems["size"], value: string, isChecked: boolean): string | undefined {
  return isChecked || value.trim() ? problem : undefined;
}

function Sides({ side }: { side: Side }): ReactElement {
  return (
    <div className="sides" role="group" aria-label="Side">
      <button type="button" className="buy" aria-pressed={side === "BUY"} onClick={() => edit({ side: "BUY" })}>
        {"\u25B2"} Buy
      </button>
      <button type="button" className="sell" aria-pressed={side === "SELL"} onClick={() => edit({ side: "SELL" })}>
        {"\u25BC"} Sell
      </button>
    </div>
  );
}

const TYPES: readonly { value: OrderType; title: string }[] = [
  { value: "LIMIT", title: "Limit" },
  { value: "MARKET", title: "Market" },
];

function Types({ instrument }: { instrument: Instrument }): ReactElement {
  const chosen = useTicket((now) => now.ticket.orderType);
  const take = (side: "bid" | "ask"): void => {
    const price = live.get("prices").get(instrument.instrument_id)?.[side];
    if (price) edit({ price, orderType: "LIMIT" });
  };
  return (
    <div className="ticket-row">
      <div className="segments" role="group" aria-label="Type">
        {TYPES.map((type) => (
          <button
            key={type.value}
            type="button"
            aria-pressed={chosen === type.value}
            onClick={() => edit({ orderType: type.value })}
          >
            {type.title}
          </button>
        ))}
      </div>
      <span className="quick">
        <button type="button" className="small" onClick={() => take("bid")}>
          Bid
        </button>
        <button type="button" className="small" onClick={() => take("ask")}>
          Ask
        </button>
      </span>
    </div>
  );
}

interface StepFieldProps {
  label: string;
  hint: string;
  value: string;
  problem: string | undefined;
  field: RefObject<HTMLInputElement | null>;
  onChange: (value: string) => void;
  onStep: (steps: number) => void;
}

function StepField({ label, hint, value, problem, field, onChange, onStep }: StepFieldProps): ReactElement {
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    onStep(step * (event.shiftKey ? 10 : 1));
  };
  return (
    <label className="field">
      <span>
        {label} <span className="muted">{hint}</span>
      </span>
      <input
        ref={field}
        inputMode="decimal"
        autoComplete="off"
        maxLength={40}
        value={value}
        aria-invalid={problem !== undefined}
        onChange={(event) => onChange(event.target.value.replace(",", "."))}
        onKeyDown={onKeyDown}
      />
      <span className="problem" role={problem ? "alert" : undefined}>
        {problem}
      </span>
    </label>
  );
}

function Shares({ instrument }: { instrument: Instrument }): ReactElement {
  const side = useTicket((now) => now.ticket.side);
  const currency = side === "BUY" ? instrument.quote_currency : instrument.base_currency;
  const free = usePart("balances", (balances) => balances.find((one) => one.currency === currency)?.free ?? null);
  const take = (percent: number): void => {
    const { ticket } = useTicket.getState();
    const price = live.get("prices").get(instrument.instrument_id);
    const size = sizeOfShare(percent, ticket, instrument, price, live.get("balances"));
    if (size) edit({ size });
  };
  return (
    <div className="shares">
      <span className="soft">
        Free {number(free, side === "BUY" ? 2 : 6)} {currency}
      </span>
      <span className="quick">
        {SHARES.map((percent) => (
          <button key={percent} type="button" className="small" disabled={!free} onClick={() => take(percent)}>
            {percent}%
          </button>
        ))}
      </span>
    </div>
  );
}

const TIMES: readonly { value: TimeInForce; title: string }[] = [
  { value: "GTC", title: "GTC \u2013 until cancelled" },
  { value: "IOC", title: "IOC \u2013 at once, drop the rest" },
  { value: "FOK", title: "FOK \u2013 all at once or nothing" },
];

function Conditions(): ReactElement {
  const ticket = useTicket((now) => now.ticket);
  const mayRest = ticket.orderType === "LIMIT" && ticket.timeInForce === "GTC";
  return (
    <>
      {ticket.orderType === "LIMIT" ? (
        <label className="field">
          <span>Time in force</span>
          <select
            value={ticket.timeInForce}
            onChange={(event) => edit({ timeInForce: event.target.value as TimeInForce })}
          >
            {TIMES.map((time) => (
              <option key={time.value} value={time.value}>
                {time.title}
              </option>
            ))}
          </select>
        </label>
      ) : null}
      <div className="ticket-row">
        <label className="check">
          <input
            type="checkbox"
            checked={ticket.postOnly}
            disabled={!mayRest}
            onChange={(event) => edit({ postOnly: event.target.checked })}
          />
          <span>Post only</span>
        </label>
        <label className="check">
          <input
            type="checkbox"
            checked={ticket.reduceOnly}
            onChange={(event) => edit({ reduceOnly: event.target.checked })}
          />
          <span>Reduce only</span>
        </label>
      </div>
    </>
  );
}

/** About what it costs, twice a second for a market order: prices change with every frame, and this is read, not watched. */
function Cost({ instrument }: { instrument: Instrument }): ReactElement {
  const ticket = useTicket((now) => now.ticket);
  const [, setRound] = useState(0);
  useEffect(() => {
    if (ticket.orderType !== "MARKET") return;
    const timer = setInterval(() => setRound((now) => now + 1), 500);
    return () => clearInterval(timer);
  }, [ticket.orderType]);
  const cost = notionalOf(ticket, live.get("prices").get(instrument.instrument_id));
  return (
    <p className="cost">
      <span className="soft">{ticket.orderType === "MARKET" ? "About" : "Worth"}</span>{" "}
      <strong>
        {number(cost, 2)} {instrument.quote_currency}
      </strong>
    </p>
  );
}
