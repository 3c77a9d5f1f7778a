/** Finding an instrument by a part of its name; arrows choose, Enter opens. */

import { useId, useState, type KeyboardEvent, type ReactElement } from "react";
import type { Instrument } from "../../api/types";
import { usePart } from "../../live/live";
import { Dialog } from "../../shown/dialogs";

const MOST = 50;

interface Props {
  open: boolean;
  onClose: () => void;
  onChoose: (instrumentId: string) => void;
}

export function InstrumentSearch({ open, onClose, onChoose }: Props): ReactElement {
  return (
    <Dialog title="Find an instrument" open={open} onClose={onClose}>
      <Search
        onChoose={(id) => {
          onClose();
          onChoose(id);
        }}
      />
    </Dialog>
  );
}

/** Those whose id holds every word; those that begin with the first one first. */
export function found(instruments: Iterable<Instrument>, asked: string): Instrument[] {
  const words = asked.toUpperCase().split(/\s+/).filter(Boolean);
  const fits = [...instruments].filter((one) => words.every((word) => one.instrument_id.toUpperCase().includes(word)));
  const begins = (one: Instrument): number => (one.instrument_id.toUpperCase().startsWith(words[0] ?? "") ? 0 : 1);
  return fits.sort((a, b) => begins(a) - begins(b) || a.instrument_id.localeCompare(b.instrument_id)).slice(0, MOST);
}

function Search({ onChoose }: { onChoose: (id: string) => void }): ReactElement {
  const instruments = usePart("instruments");
  const [asked, setAsked] = useState("");
  const [place, setPlace] = useState(0);
  const list = useId();
  const shown = found(instruments.values(), asked);
  const chosen = shown[Math.min(place, shown.length - 1)];
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) {
      event.preventDefault();
      setPlace((now) => Math.min(Math.max(0, now + step), Math.max(0, shown.length - 1)));
    } else if (event.key === "Enter" && chosen) {
      event.preventDefault();
      onChoose(chosen.instrument_id);
    }
  };
  return (
    <div className="instrument-search">
      <input
        role="combobox"
        aria-label="Part of its name"
        aria-expanded="true"
        aria-controls={list}
        aria-autocomplete="list"
        {...(chosen ? { "aria-activedescendant": `${list}${chosen.instrument_id}` } : {})}
        placeholder="BTC, ETHUSDT, BINANCE \u2026"
        autoComplete="off"
        value={asked}
        onChange={(event) => {
          setAsked(event.target.value);
          setPlace(0);
        }}
        onKeyDown={onKeyDown}
      />
      {shown.length ? (
        <ul role="listbox" id={list} aria-label="Instruments">
          {shown.map((one) => (
            // The keys are the field's; this is for the pointer.
            // eslint-disable-next-line jsx-a11y/click-events-have-key-events
            <li
              key={one.instrument_id}
              id={`${list}${one.instrument_id}`}
              role="option"
              aria-selected={one === chosen}
              onClick={() => onChoose(one.instrument_id)}
            >
              <strong>{one.symbol}</strong> <span className="soft">{one.venue}</span>
              <span className="soft">
                {one.base_currency} for {one.quote_currency}
              </span>
            </li>
          ))}
        </ul>
      ) : (
        <p className="empty" id={list}>
          Nothing is called so.
        </p>
      )}
    </div>
  );
}
