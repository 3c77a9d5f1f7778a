/** Who did what, when, and why: the audit, newest first, with what it changed. */

import { useDeferredValue, useState, type ReactElement } from "react";
import { address, type Query } from "../../api/client";
import { useRefusal } from "../../shown/Action";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { Time } from "../../shown/quantities";
import { usePages } from "../orders/paging";
import { differenceOf } from "./difference";

interface AuditLine {
  id: string;
  ts: string;
  actor: string;
  role: string;
  action: string;
  subject: string;
  before: string;
  after: string;
  why: string;
  client: string;
}

interface Filters {
  actor: string;
  action: string;
  subject: string;
  since: string;
  until: string;
}

const PAGE = 100;
const NONE: Filters = { actor: "", action: "", subject: "", since: "", until: "" };

export function AuditPanel(): ReactElement {
  const refusal = useRefusal("audit");
  if (refusal) {
    return (
      <Panel title="Audit" className="audit">
        <EmptyState title="Not shown to your role">{refusal}</EmptyState>
      </Panel>
    );
  }
  return <Audit />;
}

function askedOf(filters: Filters): Query {
  return {
    actor: filters.actor.trim(),
    action: filters.action.trim(),
    subject: filters.subject.trim(),
    since: nanoseconds(filters.since),
    until: nanoseconds(filters.until),
  };
}

function nanoseconds(local: string): string | null {
  const ms = Date.parse(local);
  return Number.isFinite(ms) ? (BigInt(ms) * 1_000_000n).toString() : null;
}

function Audit(): ReactElement {
  const [filters, setFilters] = useState<Filters>(NONE);
  const asked = askedOf(useDeferredValue(filters));
  const pages = usePages<AuditLine>("/audit", asked, "rows", PAGE);
  return (
    <Panel
      title="Audit"
      className="audit"
      note={`${pages.rows.length} lines${pages.isComplete ? "" : ", there are more"}`}
      actions={
        <>
          <button type="button" className="small" onClick={pages.again}>
            Look again
          </button>
          <a className="button small" href={address("/audit.csv", asked)} download>
            CSV
          </a>
        </>
      }
    >
      <FilterRow filters={filters} onChange={(change) => setFilters((now) => ({ ...now, ...change }))} />
      <ErrorNote error={pages.error} onAgain={pages.again} />
      {pages.isLoading && !pages.rows.length ? <Skeleton lines={8} /> : null}
      {!pages.isLoading && !pages.error && !pages.rows.length ? <EmptyState title="No line fits the filters" /> : null}
      <ol className="audit-list">
        {pages.rows.map((line) => (
          <Line key={line.id} line={line} />
        ))}
      </ol>
      {pages.isComplete || !pages.rows.length ? null : (
        <button type="button" className="audit-more" disabled={pages.isLoading} onClick={pages.more}>
          {pages.isLoading ? "Loading…" : "Older lines"}
        </button>
      )}
    </Panel>
  );
}

const FIELDS: readonly { name: "actor" | "action" | "subject"; title: string; hint: string }[] = [
  { name: "actor", title: "Who", hint: "Who" },
  { name: "action", title: "What", hint: "What: order, kill…" },
  { name: "subject", title: "To what", hint: "To what" },
];

function FilterRow({
  filters,
  onChange,
}: {
  filters: Filters;
  onChange: (change: Partial<Filters>) => void;
}): ReactElement {
  return (
    <div className="filters" role="search" aria-label="Filters of the audit">
      {FIELDS.map((field) => (
        <label key={field.name}>
          <span className="hidden">{field.title}</span>
          <input
            type="search"
            placeholder={field.hint}
            value={filters[field.name]}
            onChange={(event) => onChange({ [field.name]: event.target.value })}
          />
        </label>
      ))}
      <label>
        <span className="hidden">From, local time</span>
        <input
          type="datetime-local"
          value={filters.since}
          onChange={(event) => onChange({ since: event.target.value })}
        />
      </label>
      <label>
        <span className="hidden">To, local time</span>
        <input
          type="datetime-local"
          value={filters.until}
          onChange={(event) => onChange({ until: event.target.value })}
        />
      </label>
    </div>
  );
}

function Line({ line }: { line: AuditLine }): ReactElement {
  const parts = differenceOf(line.before, line.after);
  return (
    <li>
      <Time ns={line.ts} withDate />
      <span>
        <strong>{line.actor}</strong> <span className="soft">{line.role}</span>
      </span>
      <span>
        <code>{line.action}</code> {line.subject}{" "}
        {parts.map((part) => (
          <span key={part.name} className="audit-part">
            {part.name ? <span className="soft">{part.name}: </span> : null}
            {part.before ? <del>{part.before}</del> : null}
            {part.before && part.after ? " \u2192 " : ""}
            {part.after ? <ins>{part.after}</ins> : null}
          </span>
        ))}
        {line.why ? <q>{line.why}</q> : null}
        {line.client ? <span className="muted"> from {line.client}</span> : null}
      </span>
    </li>
  );
}
