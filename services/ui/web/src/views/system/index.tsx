/** System: what runs, what does not and why, and what to do about it. */

import { useMemo, type ReactElement } from "react";
import { usePart, useParts } from "../../live/live";
import { trimmed } from "../../money/format";
import { useAsked } from "../../shown/asking";
import { DataTable } from "../../shown/DataTable";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { Amount, Time } from "../../shown/quantities";
import { AlertsPanel } from "./AlertsPanel";
import "./system.css";
import { busLines } from "./buses";
import { BUSES, FEEDS, LEASES, SERVICES } from "./tables";
import { worstFirst } from "./topology";
import { TopologyPicture } from "./TopologyPicture";
import type { Reconciliation, System, SystemService } from "./types";

const EVERY_MS = 5_000;

export default function SystemView(): ReactElement {
  useParts("system", "health");
  const told = usePart("system") as unknown as System | null;
  const health = usePart("health");
  const asked = useAsked<System>("/system", {}, EVERY_MS);
  const system = told ?? asked.data;
  const services = useMemo(
    () => worstFirst<SystemService>(system?.services ?? health?.services ?? []),
    [system, health],
  );
  return (
    <div className="system">
      <ErrorNote error={system ? null : asked.error} onAgain={asked.again} />
      <ServicesPanel services={services} version={health?.version ?? ""} />
      <AlertsPanel />
      {system ? <Rest system={system} /> : asked.isLoading ? <Skeleton lines={8} /> : null}
    </div>
  );
}

function ServicesPanel({ services, version }: { services: readonly SystemService[]; version: string }): ReactElement {
  const bad = services.filter((one) => !one.ready).length;
  return (
    <Panel
      title="Services"
      className="services"
      note={
        <>
          {services.length} services, {bad ? <strong className="problem">{bad} not ready</strong> : "all ready"}
          {version ? `; version ${version}` : ""}
        </>
      }
    >
      <TopologyPicture services={services} />
      <DataTable
        label="Services"
        rows={services}
        columns={SERVICES}
        rowId={(one) => `${one.name} ${one.host ?? ""} ${one.pid ?? ""}`}
        rowClass={(one) => (one.ready ? "" : "warn")}
        empty={<EmptyState title="No service is heard" />}
      />
    </Panel>
  );
}

function Rest({ system }: { system: System }): ReactElement {
  const lines = useMemo(() => busLines(system.buses), [system.buses]);
  return (
    <>
      {system.store_away ? (
        <ErrorNote error={new Error(`Leases and reconciliation are old: ${system.store_away}`)} />
      ) : null}
      <Panel title="Leases" note="Who may write, and since how many takeovers">
        <DataTable
          label="Leases"
          rows={system.leases}
          columns={LEASES}
          rowId={(one) => one.name}
          empty={<EmptyState title="No lease is held" />}
        />
      </Panel>
      <Panel title="Feeds" note="What comes from the venues">
        <DataTable
          label="Feeds"
          rows={system.feeds}
          columns={FEEDS}
          rowId={(one) => `${one.venue} ${one.instrument_id}`}
          rowClass={(one) => (/^(live|synced|up|ok)$/i.test(one.state) ? "" : "warn")}
          empty={<EmptyState title="No feed has told anything yet" />}
        />
      </Panel>
      <ReconciliationPanel row={system.reconciliation} />
      <Panel title="Buses" note="What waits for whom, in the api service's process">
        <DataTable
          label="Subscriptions of the buses"
          rows={lines}
          columns={BUSES}
          rowId={(one) => `${one.plane} ${one.topic} ${one.group ?? ""}`}
          empty={<EmptyState title="No subscriptions are told" />}
        />
      </Panel>
    </>
  );
}

function ReconciliationPanel({ row }: { row: Reconciliation | null }): ReactElement {
  const at = row?.ts_event ?? row?.at ?? null;
  const all = row?.differences ?? row?.rows ?? [];
  const differing = all.filter((one) => one.difference === undefined || !/^-?0*\.?0*$/.test(one.difference));
  return (
    <Panel
      title="Last reconciliation"
      note={
        at ? (
          <>
            last news <Time ns={at} withDate />
          </>
        ) : (
          "none has told a difference"
        )
      }
    >
      {differing.length ? (
        <ul className="differences">
          {differing.map((one) => (
            <li key={one.currency}>
              <strong>{one.currency}</strong>
              {one.difference === undefined ? (
                <span>
                  venue <Amount value={one.at_venue} />, our books <Amount value={one.in_books} />
                </span>
              ) : (
                <span className="problem">differs by {trimmed(one.difference)}</span>
              )}
            </li>
          ))}
        </ul>
      ) : (
        <EmptyState title="The venue's balances and our books agree" />
      )}
    </Panel>
  );
}
