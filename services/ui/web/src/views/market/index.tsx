/** The market of one instrument: chart, depth, prints, ticket and what of ours is in it. */

import { useCallback, useEffect, useState, type ReactElement } from "react";
import type { Instrument } from "../../api/types";
import { useKeys } from "../../app/keys";
import { usePreferences } from "../../app/preferences";
import { navigate, useRoute } from "../../app/routes";
import { choose, usePart, useParts } from "../../live/live";
import { Skeleton } from "../../shown/notes";
import { intervalOf, type Interval } from "./bars";
import { ChartPanel } from "./ChartPanel";
import { InstrumentBar } from "./InstrumentBar";
import { InstrumentSearch } from "./InstrumentSearch";
import { LadderPanel } from "./LadderPanel";
import { OursPanel } from "./OursPanel";
import { TapePanel } from "./TapePanel";
import { emptyTicket } from "./ticket";
import { TicketPanel } from "./TicketPanel";
import "./market.css";

export default function MarketView(): ReactElement {
  useParts("prices", "book", "trades", "bars", "marks", "orders", "fills", "positions", "balances");
  const route = useRoute();
  const asked = route.rest[0];
  const first = usePart("instruments", (instruments) => instruments.keys().next().value);
  const id = asked ?? first;
  const instrument = usePart("instruments", (instruments) => (id === undefined ? undefined : instruments.get(id)));
  const known = usePart("instruments", (instruments) => instruments.size);
  const interval = useInterval();
  const [isSearching, setSearching] = useState(false);
  useEffect(() => {
    if (id !== undefined) choose({ instrument_id: id, interval: interval.chosen });
  }, [id, interval.chosen]);
  useEffect(() => emptyTicket, [id]);
  useKeys("Market", [{ keys: "/", about: "Find an instrument", run: () => setSearching(true) }]);
  return (
    <div className="market">
      {instrument ? (
        <Shown
          key={instrument.instrument_id}
          instrument={instrument}
          interval={interval}
          onSearch={() => setSearching(true)}
        />
      ) : known && asked ? (
        <Unknown id={asked} onSearch={() => setSearching(true)} />
      ) : (
        <Skeleton lines={10} />
      )}
      <InstrumentSearch
        open={isSearching}
        onClose={() => setSearching(false)}
        onChoose={(chosen) => navigate("market", chosen)}
      />
    </div>
  );
}

/** The chosen length of a candle; until one is chosen a minute, or a second where minutes make no picture yet. */
function useInterval(): { chosen: Interval; onFew: () => void } {
  const preferred = usePreferences((now) => now.interval);
  const [first, setFirst] = useState<Interval>("1m");
  const onFew = useCallback(() => setFirst("1s"), []);
  return { chosen: intervalOf(preferred) ?? first, onFew };
}

function Shown({
  instrument,
  interval,
  onSearch,
}: {
  instrument: Instrument;
  interval: { chosen: Interval; onFew: () => void };
  onSearch: () => void;
}): ReactElement {
  return (
    <>
      <InstrumentBar instrument={instrument} onSearch={onSearch} />
      <ChartPanel instrument={instrument} interval={interval.chosen} onFew={interval.onFew} />
      <LadderPanel instrument={instrument} />
      <TapePanel instrument={instrument} />
      <TicketPanel instrument={instrument} />
      <OursPanel instrument={instrument} />
    </>
  );
}

function Unknown({ id, onSearch }: { id: string; onSearch: () => void }): ReactElement {
  return (
    <div className="gate">
      <h1>{id} is not traded here</h1>
      <p>It may have been delisted, or its name is written otherwise.</p>
      <button type="button" className="primary" onClick={onSearch}>
        Find an instrument
      </button>
    </div>
  );
}
