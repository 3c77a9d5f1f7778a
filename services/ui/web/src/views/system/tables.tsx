/** The tables of the system: services, leases, feeds, subscriptions of the buses. */

import type { ReactElement } from "react";
import type { Column } from "../../shown/DataTable";
import { Age, StatusBadge, Time } from "../../shown/quantities";
import type { BusLine } from "./buses";
import { toneOf } from "./topology";
import type { Feed, Lease, SystemService } from "./types";

const SLOW_LOOP_MS = 50;
const FULL_QUEUE = 0.5;
const LONG_LAG = 1_000;

function Told({
  value,
  unit = "",
  isBad = false,
}: {
  value: string | number | null | undefined;
  unit?: string;
  isBad?: boolean;
}): ReactElement {
  if (value === null || value === undefined) return <span className="muted">{"\u2013"}</span>;
  return (
    <span className={isBad ? "amount problem" : "amount"}>
      {value}
      {unit ? <span className="unit"> {unit}</span> : null}
    </span>
  );
}

function rounded(value: number | string | null | undefined, decimals: number): string | null {
  return value === null || value === undefined ? null : Number(value).toFixed(decimals);
}

export const SERVICES: readonly Column<SystemService>[] = [
  { id: "name", title: "Service", value: (one) => one.name },
  {
    id: "state",
    title: "State",
    value: (one) => one.state,
    cell: (one) => <StatusBadge state={one.state} tone={toneOf(one)} />,
  },
  { id: "reason", title: "Reason", value: (one) => one.reason, className: "wrap", hide: "narrow" },
  { id: "since", title: "Since", value: (one) => one.since, cell: (one) => <Age ns={one.since} />, align: "number" },
  {
    id: "restarts",
    title: "Restarts",
    align: "number",
    value: (one) => one.restarts,
    cell: (one) => <Told value={one.restarts} isBad={one.restarts > 0} />,
    hide: "narrow",
  },
  {
    id: "loop",
    title: "Loop lag",
    align: "number",
    value: (one) => Number(one.loop_lag_ms ?? Number.NaN),
    cell: (one) => (
      <Told value={rounded(one.loop_lag_ms, 1)} unit="ms" isBad={Number(one.loop_lag_ms) > SLOW_LOOP_MS} />
    ),
    hide: "middle",
  },
  {
    id: "lag",
    title: "Bus lag",
    align: "number",
    value: (one) => one.bus_lag,
    cell: (one) => <Told value={one.bus_lag} isBad={Number(one.bus_lag) > LONG_LAG} />,
    hide: "middle",
  },
  {
    id: "fill",
    title: "Queue",
    align: "number",
    value: (one) => Number(one.queue_fill ?? Number.NaN),
    cell: (one) => (
      <Told
        value={
          one.queue_fill === null || one.queue_fill === undefined ? null : (Number(one.queue_fill) * 100).toFixed(0)
        }
        unit="%"
        isBad={Number(one.queue_fill) > FULL_QUEUE}
      />
    ),
    hide: "middle",
  },
  {
    id: "process",
    title: "Process",
    value: (one) => `${one.host ?? ""} ${one.pid ?? ""}`,
    cell: (one) => (
      <span className="soft">
        {[one.host, one.pid].filter(Boolean).join(":") || "\u2013"} {one.version ? `(${one.version})` : ""}
      </span>
    ),
    hide: "middle",
  },
];

export const LEASES: readonly Column<Lease>[] = [
  { id: "name", title: "Lease", value: (one) => one.name },
  {
    id: "holder",
    title: "Holder",
    value: (one) => one.holder,
    cell: (one) => one.holder ?? <span className="badge bad">nobody</span>,
  },
  { id: "epoch", title: "Epoch", align: "number", value: (one) => String(one.epoch) },
  {
    id: "expires",
    title: "Until",
    value: (one) => one.expires_at,
    cell: (one) => <Time ns={one.expires_at} />,
    align: "number",
    hide: "narrow",
  },
];

export const FEEDS: readonly Column<Feed>[] = [
  { id: "instrument", title: "Instrument", value: (one) => one.instrument_id },
  { id: "venue", title: "Venue", value: (one) => one.venue, hide: "narrow" },
  {
    id: "state",
    title: "State",
    value: (one) => one.state,
    cell: (one) => <StatusBadge state={one.state || "unknown"} />,
  },
  { id: "detail", title: "Detail", value: (one) => one.detail, className: "wrap", hide: "narrow" },
  {
    id: "gaps",
    title: "Gaps",
    align: "number",
    value: (one) => one.gaps,
    cell: (one) => <Told value={one.gaps} isBad={Number(one.gaps) > 0} />,
  },
  {
    id: "last",
    title: "Last record, venue's time",
    value: (one) => one.last_record_at,
    cell: (one) => <Time ns={one.last_record_at} withDate />,
    align: "number",
  },
];

export const BUSES: readonly Column<BusLine>[] = [
  {
    id: "topic",
    title: "Topic",
    value: (one) => one.topic,
    cell: (one) => (
      <>
        {one.topic} {one.readers > 1 ? <span className="soft">{one.readers} readers</span> : null}
      </>
    ),
  },
  { id: "group", title: "Group", value: (one) => one.group ?? "", hide: "narrow" },
  { id: "plane", title: "Plane", value: (one) => one.plane, hide: "narrow" },
  { id: "delivered", title: "Delivered", align: "number", value: (one) => one.delivered, hide: "narrow" },
  {
    id: "lag",
    title: "Waiting",
    align: "number",
    value: (one) => one.lag,
    cell: (one) => <Told value={one.lag} isBad={one.lag > LONG_LAG} />,
  },
  {
    id: "dropped",
    title: "Dropped",
    align: "number",
    value: (one) => one.dropped_records,
    cell: (one) => <Told value={one.dropped_records} isBad={one.dropped_records > 0} />,
  },
  { id: "gaps", title: "Gaps", align: "number", value: (one) => one.gaps, hide: "middle" },
  {
    id: "dead",
    title: "Dead letters",
    align: "number",
    value: (one) => one.dead_lettered,
    cell: (one) => <Told value={one.dead_lettered} isBad={one.dead_lettered > 0} />,
  },
];
