/** The filters above the blotter. */

import { type ReactElement, type ReactNode } from "react";
import { usePart } from "../../live/live";
import { words } from "../../money/format";
import { isFiltered, NO_FILTERS, RANGES, STATUSES, type Filters } from "./filters";

type Change = (change: Partial<Filters>) => void;

export function FilterBar({
  filters,
  strategies,
  onChange,
  withStatus,
}: {
  filters: Filters;
  strategies: readonly string[];
  onChange: Change;
  withStatus: boolean;
}): ReactElement {
  return (
    <div className="filters" role="search" aria-label="Filters">
      <label>
        <span className="hidden">Search</span>
        <input
          id="orders-search"
          type="search"
          placeholder="Search ids, reasons…"
          value={filters.search}
          onChange={(event) => onChange({ search: event.target.value })}
        />
      </label>
      {withStatus ? (
        <Choice title="Status" value={filters.status} onChange={(status) => onChange({ status })}>
          <option value="">Any status</option>
          <option value="open">Without an end</option>
          {STATUSES.map((one) => (
            <option key={one} value={one}>
              {words(one)}
            </option>
          ))}
        </Choice>
      ) : null}
      <Choice title="Strategy" value={filters.strategy} onChange={(strategy) => onChange({ strategy })}>
        <option value="">Any strategy</option>
        {withChosen(strategies, filters.strategy).map((one) => (
          <option key={one}>{one}</option>
        ))}
      </Choice>
      <InstrumentChoice filters={filters} onChange={onChange} />
      <Choice title="Side" value={filters.side} onChange={(side) => onChange({ side })}>
        <option value="">Both sides</option>
        <option value="BUY">Buy</option>
        <option value="SELL">Sell</option>
      </Choice>
      <TimeChoice filters={filters} onChange={onChange} />
      {isFiltered(filters) ? (
        <button type="button" className="small" onClick={() => onChange(NO_FILTERS)}>
          No filters
        </button>
      ) : null}
    </div>
  );
}

function withChosen(all: readonly string[], chosen: string): readonly string[] {
  return chosen && !all.includes(chosen) ? [...all, chosen] : all;
}

function Choice({
  title,
  value,
  onChange,
  children,
}: {
  title: string;
  value: string;
  onChange: (value: string) => void;
  children: ReactNode;
}): ReactElement {
  return (
    <label>
      <span className="hidden">{title}</span>
      <select className={value ? "chosen" : ""} value={value} onChange={(event) => onChange(event.target.value)}>
        {children}
      </select>
    </label>
  );
}

function InstrumentChoice({ filters, onChange }: { filters: Filters; onChange: Change }): ReactElement {
  const instruments = usePart("instruments");
  const all = withChosen([...instruments.keys()], filters.instrument);
  return (
    <Choice title="Instrument" value={filters.instrument} onChange={(instrument) => onChange({ instrument })}>
      <option value="">Any instrument</option>
      {all.map((one) => (
        <option key={one}>{one}</option>
      ))}
    </Choice>
  );
}

function TimeChoice({ filters, onChange }: { filters: Filters; onChange: Change }): ReactElement {
  return (
    <>
      <Choice title="Time" value={filters.range} onChange={(range) => onChange({ range, since: "", until: "" })}>
        <option value="">All times</option>
        {Object.entries(RANGES).map(([key, range]) => (
          <option key={key} value={key}>
            {range.title}
          </option>
        ))}
        <option value="own">From … to …</option>
      </Choice>
      {filters.range === "own" ? (
        <>
          <label>
            <span className="hidden">From, local time</span>
            <input
              type="datetime-local"
              step="1"
              value={filters.since}
              onChange={(event) => onChange({ since: event.target.value })}
            />
          </label>
          <label>
            <span className="hidden">To, local time</span>
            <input
              type="datetime-local"
              step="1"
              value={filters.until}
              onChange={(event) => onChange({ until: event.target.value })}
            />
          </label>
        </>
      ) : null}
    </>
  );
}
