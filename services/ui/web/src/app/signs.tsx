/** The signs of the top bar: where orders go, whether the page is live, alerts, the firm's trading state. */

import { useEffect, useState, type ReactElement } from "react";
import { silentMs, useLink, usePart } from "../live/live";
import { isEngaged, stateOf } from "../live/model";
import type { LinkState } from "../live/stream";
import { duration } from "../money/format";
import { Icon } from "../shown/Icon";
import { StatusBadge } from "../shown/quantities";
import { href } from "./routes";

export type Target = "simulated" | "testnet" | "real" | "unknown";

/** Which exchange orders go to, from the platform's sentence; only its first part is about orders. */
export function targetOf(sentence: string): Target {
  const orders = sentence.split(",")[0] ?? "";
  if (/\bREAL\b/.test(orders)) return "real";
  if (/testnet/i.test(orders)) return "testnet";
  return /simulated/i.test(orders) ? "simulated" : "unknown";
}

const TARGETS: Record<Target, string> = {
  simulated: "Simulated venue",
  testnet: "Testnet",
  real: "REAL MONEY",
  unknown: "Where orders go is not known",
};

export function Destination(): ReactElement {
  const sentence = usePart("health", (health) => health?.destination ?? "");
  const target = targetOf(sentence);
  return (
    <p className={`destination ${target}`} title={sentence}>
      <strong>{TARGETS[target]}</strong>
      <span>{sentence}</span>
    </p>
  );
}

const LINKS: Record<LinkState, string> = {
  connecting: "Connecting",
  live: "Live",
  stale: "Stale",
  reconnecting: "Reconnecting",
  refused: "Not allowed",
};

/** Told to screen readers only when the state changes, not each second of it. */
export function LinkSign(): ReactElement {
  const state = useLink((link) => link.state);
  return (
    <p className={`link ${state}`} role="status">
      <i aria-hidden="true" />
      <span>{LINKS[state]}</span>
    </p>
  );
}

/** Since when what is seen is old, and a halt that stops everybody: what must not be overlooked. */
export function Notices(): ReactElement {
  const state = useLink((link) => link.state);
  const reason = useLink((link) => link.reason);
  const firm = usePart("trading_states", (states) =>
    states.find((one) => one.scope === "firm" && one.state === "HALTED"),
  );
  const isOld = state === "stale" || state === "reconnecting" || state === "refused";
  useEffect(() => {
    // Everything that shows live data looks old while it is.
    document.documentElement.dataset["live"] = isOld ? "old" : "live";
  }, [isOld]);
  return (
    <div className="notices">
      {isOld ? (
        <p className="notice warn">
          <strong>{LINKS[state]}.</strong> What you see is <SilentFor /> old{reason ? ` (${reason})` : ""}.{" "}
          {state === "refused" ? "Ask an administrator." : "It goes on by itself when the platform answers."}
        </p>
      ) : null}
      {firm ? (
        <p className="notice bad">
          <strong>All trading is halted</strong> by {firm.actor}: {firm.why}. <a href={href("risk")}>Risk</a>
        </p>
      ) : null}
    </div>
  );
}

function SilentFor(): ReactElement {
  const [ms, setMs] = useState(silentMs);
  useEffect(() => {
    const timer = setInterval(() => setMs(silentMs()), 500);
    return () => clearInterval(timer);
  }, []);
  return <span className="amount">{duration(ms)}</span>;
}

export function AlertsLink(): ReactElement {
  const open = usePart("alerts", (alerts) => alerts.filter((one) => one.state === "OPEN").length);
  const critical = usePart(
    "alerts",
    (alerts) => alerts.filter((one) => one.state === "OPEN" && one.severity === "critical").length,
  );
  const label = open ? `${open} open ${open === 1 ? "alert" : "alerts"}` : "No open alerts";
  return (
    <a
      className={`alerts ${critical ? "bad" : open ? "warn" : ""}`}
      href={href("system")}
      aria-label={label}
      title={label}
    >
      <Icon name="bell" size={18} />
      {open ? <span className="count">{open}</span> : null}
    </a>
  );
}

/** The firm's state; engaged kill switches of smaller scopes are counted. */
export function TradingStateSign(): ReactElement {
  const state = usePart("trading_states", (states) => stateOf(states, "firm"));
  const scoped = usePart(
    "trading_states",
    (states) => states.filter((one) => one.scope !== "firm" && one.state !== "ACTIVE").length,
  );
  const engaged = usePart("kill_switches", (switches) => switches.filter(isEngaged).length);
  const more = [scoped ? `${scoped} limited` : "", engaged ? `${engaged} killed` : ""].filter(Boolean).join(", ");
  return (
    <a className="trading-state" href={href("risk")} title="Trading state of the firm: to Risk">
      <StatusBadge state={state} label={state === "ACTIVE" ? "Trading" : state === "HALTED" ? "Halted" : "Reducing"} />
      {more ? <span className="more">{more}</span> : null}
    </a>
  );
}
