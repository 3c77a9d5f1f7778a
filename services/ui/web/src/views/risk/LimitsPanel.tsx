/** Every limit with what is used of it, the nearest to its edge first. */

import { useMemo, useState, type ReactElement } from "react";
import { usePart } from "../../live/live";
import { number, trimmed, words } from "../../money/format";
import { useAsked } from "../../shown/asking";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { kindsOf, nameOf, percent, scopeParts, sorted, type Limit, type Scale } from "./limits";

const EVERY_MS = 5_000;

export function LimitsPanel(): ReactElement {
  const told = usePart("limits") as unknown as readonly Limit[];
  const asked = useAsked<{ rows: Limit[] }>("/limits", {}, EVERY_MS);
  const limits = useMemo(() => (told.length ? told : (asked.data?.rows ?? [])), [told, asked.data]);
  const [kind, setKind] = useState("");
  const kinds = useMemo(() => kindsOf(limits), [limits]);
  const scales = useMemo(
    () => sorted(kind ? limits.filter((limit) => scopeParts(limit.scope).kind === kind) : limits),
    [limits, kind],
  );
  const tripped = scales.filter((one) => one.limit.tripped).length;
  return (
    <Panel
      title="Limits"
      className="limits"
      note={`${scales.length} limits, the nearest to its edge first${tripped ? `; ${tripped} tripped` : ""}`}
      actions={
        <div className="segments" role="group" aria-label="Scope of limits">
          {["", ...kinds].map((one) => (
            <button key={one} type="button" aria-pressed={kind === one} onClick={() => setKind(one)}>
              {one ? words(one) : "All"}
            </button>
          ))}
        </div>
      }
    >
      <ErrorNote error={limits.length ? null : asked.error} onAgain={asked.again} />
      {asked.isLoading && !limits.length ? <Skeleton lines={8} /> : null}
      {!asked.isLoading && !asked.error && !limits.length ? (
        <EmptyState title="No limits are told">
          What is not set is not limited. Limits are settings of the execution service.
        </EmptyState>
      ) : null}
      <ul className="limit-list">
        {scales.map((scale) => (
          <LimitLine key={`${scale.limit.scope} ${scale.limit.name}`} scale={scale} />
        ))}
      </ul>
    </Panel>
  );
}

/** Money to the cent; counts and ages as they are. */
function amountOf(limit: Limit, value: string | null): string {
  return limit.unit.includes("currency") ? number(value, 2) : trimmed(value);
}

function LimitLine({ scale }: { scale: Scale }): ReactElement {
  const { limit, share, tone } = scale;
  const { kind, name } = scopeParts(limit.scope);
  return (
    <li className={`limit ${tone}`}>
      <span className="limit-name">
        {nameOf(limit)}{" "}
        <span className="soft">
          {words(kind)} {name}
        </span>
      </span>
      <span className="limit-bar" aria-hidden="true">
        <i style={{ width: `${Math.min(100, share * 100)}%` }} />
      </span>
      <span className="limit-share">
        {limit.tripped ? <strong>Tripped </strong> : null}
        {percent(share)}
      </span>
      <span className="limit-numbers">
        {amountOf(limit, limit.used)} of {amountOf(limit, limit.limit)} <span className="unit">{limit.unit}</span>
      </span>
    </li>
  );
}
