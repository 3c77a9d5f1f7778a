/** Alerts: what is wrong, since when, what to do about it, and who has taken it on. */

import { useEffect, useMemo, useState, type ReactElement } from "react";
import { send } from "../../api/client";
import type { Alert } from "../../api/types";
import { usePart } from "../../live/live";
import { words } from "../../money/format";
import { Action, useRefusal } from "../../shown/Action";
import { useAsked } from "../../shown/asking";
import { ConfirmDialog, Dialog } from "../../shown/dialogs";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { Age, StatusBadge, Time } from "../../shown/quantities";
import { toast } from "../../shown/toasts";
import { pageName, pageText } from "./pages";

const EVERY_MS = 5_000;
const SEVERITIES = ["critical", "warning", "info"];
const STATES = ["OPEN", "ACKNOWLEDGED", "RESOLVED"];

export function AlertsPanel(): ReactElement {
  const told = usePart("alerts");
  const [which, setWhich] = useState<"open" | "all">("open");
  const asked = useAsked<{ rows: Alert[] }>("/alerts", { state: which, limit: 100 }, EVERY_MS);
  const rows = useMemo(() => joined(told, asked.data?.rows ?? [], which), [told, asked.data, which]);
  const [acting, setActing] = useState<Alert | null>(null);
  const [page, setPage] = useState("");
  return (
    <Panel
      title="Alerts"
      className="alerts-panel"
      actions={
        <div className="segments" role="group" aria-label="Which alerts">
          {(["open", "all"] as const).map((one) => (
            <button key={one} type="button" aria-pressed={which === one} onClick={() => setWhich(one)}>
              {one === "open" ? "Not resolved" : "All"}
            </button>
          ))}
        </div>
      }
    >
      <ErrorNote error={rows.length ? null : asked.error} onAgain={asked.again} />
      {asked.isLoading && !rows.length ? <Skeleton lines={3} /> : null}
      {!asked.isLoading && !asked.error && !rows.length ? (
        <EmptyState title="Nothing is wrong">Alerts that open appear here at once.</EmptyState>
      ) : null}
      <ul className="alert-list">
        {rows.map((one) => (
          <AlertLine key={one.alert_id} alert={one} onAcknowledge={setActing} onPage={setPage} />
        ))}
      </ul>
      {acting ? <Acknowledge alert={acting} onClose={() => setActing(null)} onDone={asked.again} /> : null}
      {page ? <PageDialog page={page} onClose={() => setPage("")} /> : null}
    </Panel>
  );
}

/** The stream's word on an alert and the store's: the later one, the worst and newest first. */
function joined(told: readonly Alert[], asked: readonly Alert[], which: "open" | "all"): Alert[] {
  const found = new Map<string, Alert>();
  for (const one of [...asked, ...told]) {
    const known = found.get(one.alert_id);
    const isLater =
      !known || BigInt(one.last_at) >= BigInt(known.last_at) || STATES.indexOf(one.state) > STATES.indexOf(known.state);
    if (isLater) found.set(one.alert_id, one);
  }
  return [...found.values()]
    .filter((one) => which === "all" || one.state !== "RESOLVED")
    .sort(
      (a, b) =>
        STATES.indexOf(a.state) - STATES.indexOf(b.state) ||
        SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
        (BigInt(b.first_at) > BigInt(a.first_at) ? 1 : -1),
    );
}

interface LineProps {
  alert: Alert;
  onAcknowledge: (alert: Alert) => void;
  onPage: (page: string) => void;
}

function AlertLine({ alert, onAcknowledge, onPage }: LineProps): ReactElement {
  const right = useRefusal("risk");
  const done =
    alert.state === "RESOLVED"
      ? "It is over."
      : alert.state === "ACKNOWLEDGED"
        ? `${alert.acknowledged_by ?? "Somebody"} has taken it on.`
        : null;
  return (
    <li className={`alert-line ${alert.state === "RESOLVED" ? "over" : alert.severity}`}>
      <p className="alert-head">
        <StatusBadge state={alert.severity} {...(alert.state === "RESOLVED" ? { tone: "off" as const } : {})} />
        <strong>{words(alert.name.replace(/([a-z])([A-Z])/g, "$1_$2"))}</strong>
        <span className="soft">{alert.subject}</span>
      </p>
      <p>{alert.summary}</p>
      <p className="muted">
        {alert.state === "RESOLVED" ? (
          <>
            resolved <Time ns={alert.resolved_at} withDate />
          </>
        ) : (
          <>
            for <Age ns={alert.first_at} />
          </>
        )}
        {alert.count > 1 ? `, opened ${alert.count} times` : ""}
        {alert.acknowledged_by ? `, taken on by ${alert.acknowledged_by}` : ""}
      </p>
      <div className="alert-actions">
        {alert.page ? (
          <button type="button" className="small" onClick={() => onPage(alert.page)}>
            What to do: {pageName(alert.page)}
          </button>
        ) : null}
        <Action
          className="small"
          label={`Take on ${alert.name}`}
          refusal={right ?? done}
          onClick={() => onAcknowledge(alert)}
        >
          Take on…
        </Action>
      </div>
    </li>
  );
}

function Acknowledge({
  alert,
  onClose,
  onDone,
}: {
  alert: Alert;
  onClose: () => void;
  onDone: () => void;
}): ReactElement {
  const acknowledge = async (why: string): Promise<void> => {
    await send("POST", `/alerts/${encodeURIComponent(alert.alert_id)}/acknowledge`, { why });
    toast("Taken on.", "good");
    onDone();
  };
  return (
    <ConfirmDialog title="Take on an alert" open onClose={onClose} action="Take it on" onConfirm={acknowledge}>
      <p>{alert.summary}</p>
      <p className="soft">
        The others see that you look after it. It stays until what it is about has ended; if it gets worse it is open
        again.
      </p>
    </ConfirmDialog>
  );
}

function PageDialog({ page, onClose }: { page: string; onClose: () => void }): ReactElement {
  const [text, setText] = useState<string | null | undefined>(undefined);
  useEffect(() => {
    let isHere = true;
    pageText(page).then(
      (found) => {
        if (isHere) setText(found);
      },
      () => {
        if (isHere) setText(null);
      },
    );
    return () => {
      isHere = false;
    };
  }, [page]);
  return (
    <Dialog title={`What to do: ${pageName(page)}`} open onClose={onClose} wide>
      {text === undefined ? <Skeleton lines={10} /> : null}
      {text === null ? (
        <p>
          The page is <code>{page}</code> in the repository; it did not come with this build.
        </p>
      ) : null}
      {text ? (
        <div className="page-text" role="region" aria-label="Page" tabIndex={0}>
          {text}
        </div>
      ) : null}
      <div className="dialog-actions">
        <button type="button" className="primary" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
