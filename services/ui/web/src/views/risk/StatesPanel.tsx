/** What each scope may do, and halting and giving back. */

import { useMemo, useState, type ReactElement } from "react";
import { send } from "../../api/client";
import type { KillSwitch, TradingState } from "../../api/types";
import { usePart } from "../../live/live";
import { isEngaged } from "../../live/model";
import { words } from "../../money/format";
import { Action, useRefusal } from "../../shown/Action";
import { ConfirmDialog } from "../../shown/dialogs";
import { Panel } from "../../shown/notes";
import { StatusBadge, Time } from "../../shown/quantities";
import { toast } from "../../shown/toasts";
import { scopeParts } from "./limits";
import { useScopes } from "./scopes";

type Wanted = "ACTIVE" | "REDUCING" | "HALTED";

const EFFECTS: Record<Wanted, { verb: string; effect: string }> = {
  HALTED: {
    verb: "Halt",
    effect:
      "New orders are refused and what rests is cancelled. Nothing proves that it is flat: for that there is the kill switch.",
  },
  REDUCING: { verb: "Only reduce", effect: "Only orders that make a position smaller pass. Cancels always pass." },
  ACTIVE: { verb: "Resume", effect: "Orders pass again, within the limits." },
};

interface Change {
  scope: string;
  state: Wanted;
}

export function StatesPanel(): ReactElement {
  const states = usePart("trading_states");
  const kills = usePart("kill_switches");
  const refusal = useRefusal("risk");
  const [change, setChange] = useState<Change | null>(null);
  const rows = useMemo(() => withFirm(states), [states]);
  return (
    <Panel
      title="Trading states"
      note="Not listed: active; the strictest wins"
      actions={
        <Action className="small" refusal={refusal} onClick={() => setChange({ scope: "", state: "HALTED" })}>
          Change a scope…
        </Action>
      }
    >
      <ul className="states">
        {rows.map((row) => (
          <StateLine
            key={row.scope}
            row={row}
            kill={kills.find((one) => one.scope === row.scope && isEngaged(one))}
            refusal={refusal}
            onChange={setChange}
          />
        ))}
      </ul>
      {change ? <StateDialog change={change} onClose={() => setChange(null)} /> : null}
    </Panel>
  );
}

function withFirm(states: readonly TradingState[]): readonly TradingState[] {
  const firm = states.find((one) => one.scope === "firm") ?? {
    scope: "firm",
    state: "ACTIVE",
    actor: "",
    why: "",
    ts_event: "",
  };
  const rest = states.filter((one) => one.scope !== "firm");
  return [firm, ...rest.filter((one) => one.state !== "ACTIVE"), ...rest.filter((one) => one.state === "ACTIVE")];
}

interface LineProps {
  row: TradingState;
  kill: KillSwitch | undefined;
  refusal: string | null;
  onChange: (change: Change) => void;
}

function StateLine({ row, kill, refusal, onChange }: LineProps): ReactElement {
  const { kind, name } = scopeParts(row.scope);
  const killed = kill ? "Its kill switch is engaged: release that below." : null;
  return (
    <li>
      <span className="state-scope">
        <strong>{name || words(kind)}</strong>{" "}
        {name ? <span className="soft">{kind}</span> : <span className="soft">everything</span>}
      </span>
      <StatusBadge state={row.state} />
      <span className="state-who soft">
        {row.actor ? (
          <>
            {row.actor}: {row.why}, <Time ns={row.ts_event} withDate />
          </>
        ) : null}
      </span>
      <span className="state-actions">
        {(["HALTED", "REDUCING", "ACTIVE"] as const)
          .filter((state) => state !== row.state)
          .map((state) => (
            <Action
              key={state}
              className="small"
              label={`${EFFECTS[state].verb} ${name || kind}`}
              refusal={refusal ?? (state === "HALTED" ? null : killed)}
              onClick={() => onChange({ scope: row.scope, state })}
            >
              {EFFECTS[state].verb}…
            </Action>
          ))}
      </span>
    </li>
  );
}

function StateDialog({ change, onClose }: { change: Change; onClose: () => void }): ReactElement {
  const scopes = useScopes();
  const [scope, setScope] = useState(change.scope || "firm");
  const [state, setState] = useState<Wanted>(change.state);
  const give = async (why: string): Promise<void> => {
    await send("POST", "/trading-state", { scope, state, why });
    toast(`${EFFECTS[state].verb} ${scope}: on its way.`);
  };
  return (
    <ConfirmDialog
      title={change.scope ? `${EFFECTS[state].verb} ${change.scope}` : "Change a trading state"}
      open
      onClose={onClose}
      danger={state === "HALTED"}
      action={`${EFFECTS[state].verb} ${scope}`}
      onConfirm={give}
    >
      {change.scope ? null : (
        <>
          <label className="field">
            <span>Scope</span>
            <select value={scope} onChange={(event) => setScope(event.target.value)}>
              {scopes.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>State</span>
            <select value={state} onChange={(event) => setState(event.target.value as Wanted)}>
              {Object.entries(EFFECTS).map(([value, one]) => (
                <option key={value} value={value}>
                  {one.verb}
                </option>
              ))}
            </select>
          </label>
        </>
      )}
      <p>{EFFECTS[state].effect}</p>
    </ConfirmDialog>
  );
}
