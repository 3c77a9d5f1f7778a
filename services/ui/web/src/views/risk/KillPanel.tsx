/** Kill switches: those that are engaged with how far they have come, their release by a second person, and history. */

import { useMemo, useState, type ReactElement } from "react";
import { send } from "../../api/client";
import type { KillSwitch } from "../../api/types";
import { usePart } from "../../live/live";
import { isEngaged } from "../../live/model";
import { words } from "../../money/format";
import { useSession } from "../../session/session";
import { Action, useRefusal } from "../../shown/Action";
import { useAsked } from "../../shown/asking";
import { ConfirmDialog, Dialog } from "../../shown/dialogs";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { Age, StatusBadge, Time } from "../../shown/quantities";
import { toast } from "../../shown/toasts";
import { releaseRefusal, STAGE_TEXTS, stagesOf, typedName } from "./kill";
import { useScopes } from "./scopes";

const EVERY_MS = 3_000;

export function KillPanel(): ReactElement {
  const told = usePart("kill_switches");
  const asked = useAsked<KillSwitch[] | { rows: KillSwitch[] }>("/kill-switches", {}, EVERY_MS);
  const kills = useMemo(() => newest(told, asked.data), [told, asked.data]);
  const engaged = kills.filter(isEngaged);
  const released = kills.filter((one) => !isEngaged(one));
  const refusal = useRefusal("risk");
  const [isEngaging, setEngaging] = useState(false);
  const [steps, setSteps] = useState<KillSwitch | null>(null);
  return (
    <Panel
      title="Kill switch"
      className="kill-panel"
      note="Halts, cancels, closes if asked, and proves it by the venue"
      actions={
        <Action className="danger small" refusal={refusal} onClick={() => setEngaging(true)}>
          Engage…
        </Action>
      }
    >
      <ErrorNote error={kills.length ? null : asked.error} onAgain={asked.again} />
      {engaged.length ? null : (
        <EmptyState title="None is engaged">
          Anybody with the role risk or admin can engage one, from every view (K).
        </EmptyState>
      )}
      {engaged.map((one) => (
        <Engaged key={one.kill_id} kill={one} onSteps={() => setSteps(one)} onReleased={asked.again} />
      ))}
      {released.length ? <History kills={released} onSteps={setSteps} /> : null}
      {isEngaging ? <EngageDialog onClose={() => setEngaging(false)} onDone={asked.again} /> : null}
      {steps ? <StepsDialog kill={steps} onClose={() => setSteps(null)} /> : null}
    </Panel>
  );
}

/** The stream's word and the store's, whichever of a switch is the later one. */
function newest(told: readonly KillSwitch[], data: KillSwitch[] | { rows: KillSwitch[] } | null): KillSwitch[] {
  const found = new Map<number, KillSwitch>();
  const asked = Array.isArray(data) ? data : (data?.rows ?? []);
  for (const one of [...asked, ...told]) {
    const known = found.get(one.kill_id);
    if (!known || (isEngaged(known) && (!isEngaged(one) || BigInt(one.stage_at) >= BigInt(known.stage_at))))
      found.set(one.kill_id, one);
  }
  return [...found.values()].sort((a, b) => b.kill_id - a.kill_id);
}

interface EngagedProps {
  kill: KillSwitch;
  onSteps: () => void;
  onReleased: () => void;
}

function Engaged({ kill, onSteps, onReleased }: EngagedProps): ReactElement {
  const user = useSession((now) => now.user?.name);
  const right = useRefusal("risk");
  const refusal = right ?? releaseRefusal(kill, user);
  const [isReleasing, setReleasing] = useState(false);
  return (
    <article className="engaged" aria-label={`Kill switch of ${kill.scope}`}>
      <header>
        <h3>{kill.scope}</h3>
        <StatusBadge
          state={kill.stage}
          tone={kill.stage === "FLAT" ? "good" : kill.stage === "STUCK" ? "bad" : "warn"}
        />
        <span className="soft">
          for <Age ns={kill.engaged_at} />
        </span>
      </header>
      <p>
        Engaged by <strong>{kill.engaged_by}</strong>: {kill.engaged_why}
        {kill.flatten ? <span className="soft"> (closes positions)</span> : null}
      </p>
      <ol className="stages">
        {stagesOf(kill).map((stage) => (
          <li
            key={stage.name}
            className={stage.state}
            {...(stage.state === "now" ? { "aria-current": "step" as const } : {})}
          >
            <strong>{STAGE_TEXTS[stage.name]?.title}</strong>
            <span>{STAGE_TEXTS[stage.name]?.help}</span>
          </li>
        ))}
      </ol>
      {kill.reason ? <p className={kill.stage === "STUCK" ? "error-note" : "soft"}>Waits for: {kill.reason}</p> : null}
      <Proof kill={kill} />
      {refusal && !right ? <p className="soft">{refusal}</p> : null}
      <div className="kill-actions">
        <button type="button" className="small" onClick={onSteps}>
          Its steps
        </button>
        <Action className="small" refusal={refusal} label={`Release ${kill.scope}`} onClick={() => setReleasing(true)}>
          Release…
        </Action>
      </div>
      {isReleasing ? <ReleaseDialog kill={kill} onClose={() => setReleasing(false)} onDone={onReleased} /> : null}
    </article>
  );
}

function Proof({ kill }: { kill: KillSwitch }): ReactElement | null {
  if (!kill.proven_at) return null;
  return (
    <div className="proof">
      <p>
        Proven by the venue&apos;s snapshot of <Time ns={kill.proven_at} withDate />.
      </p>
      <Listed title="Positions kept" items={kill.positions} />
      <Listed title="Too small to close" items={kill.dust} />
      <Listed title="Balances" items={kill.balances} />
    </div>
  );
}

function Listed({ title, items }: { title: string; items: readonly string[] }): ReactElement | null {
  if (!items.length) return null;
  return (
    <p>
      <span className="soft">{title}:</span> {items.join(", ")}
    </p>
  );
}

function EngageDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }): ReactElement {
  const scopes = useScopes();
  const [scope, setScope] = useState("firm");
  const [flatten, setFlatten] = useState(false);
  const [typed, setTyped] = useState("");
  const engage = async (why: string): Promise<void> => {
    // Enter in the second step's field confirms too; only the right name may.
    if (typed.trim() !== typedName(scope)) throw new Error(`Type ${typedName(scope)} to confirm.`);
    await send("POST", "/kill-switches", { scope, flatten, why });
    toast(`The kill switch of ${scope} is on its way.`, "bad");
    onDone();
  };
  return (
    <ConfirmDialog
      title="Engage the kill switch"
      open
      onClose={onClose}
      danger
      steps={2}
      action={`Kill ${scope}`}
      onConfirm={engage}
      review={
        <>
          <ul>
            <li>
              New orders of <strong>{scope}</strong> are refused at once, over restarts too.
            </li>
            <li>Everything of it that rests is cancelled, what only the venue shows too.</li>
            <li>
              {flatten ? <strong>Its positions are closed at the market.</strong> : "Its positions stay as they are."}
            </li>
            <li>It stays so until another person than you releases it.</li>
          </ul>
          <label className="field">
            <span>
              Type <strong>{typedName(scope)}</strong> to confirm
            </span>
            <input
              value={typed}
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => setTyped(event.target.value)}
            />
          </label>
        </>
      }
    >
      <label className="field">
        <span>What</span>
        <select value={scope} onChange={(event) => setScope(event.target.value)}>
          {scopes.map((one) => (
            <option key={one} value={one}>
              {one === "firm" ? "firm (everything)" : one}
            </option>
          ))}
        </select>
      </label>
      <label className="check">
        <input type="checkbox" checked={flatten} onChange={(event) => setFlatten(event.target.checked)} />
        <span>Close its positions too, at the market</span>
      </label>
    </ConfirmDialog>
  );
}

function ReleaseDialog({
  kill,
  onClose,
  onDone,
}: {
  kill: KillSwitch;
  onClose: () => void;
  onDone: () => void;
}): ReactElement {
  const isFlat = kill.stage === "FLAT";
  const [state, setState] = useState("ACTIVE");
  const [force, setForce] = useState(false);
  const release = async (why: string): Promise<void> => {
    await send("POST", "/kill-switches/release", { scope: kill.scope, state, force: !isFlat && force, why });
    toast(`The release of ${kill.scope} is on its way.`);
    onDone();
  };
  return (
    <ConfirmDialog
      title={`Release ${kill.scope}`}
      open
      onClose={onClose}
      danger={!isFlat}
      action={`Release ${kill.scope}`}
      isReady={isFlat || force}
      onConfirm={release}
    >
      <p>
        Engaged by <strong>{kill.engaged_by}</strong> ({kill.engaged_why}). You are the second person: know the cause,
        and look at positions and dust first.
      </p>
      <label className="field">
        <span>Then it may</span>
        <select value={state} onChange={(event) => setState(event.target.value)}>
          <option value="ACTIVE">trade again</option>
          <option value="REDUCING">only reduce positions</option>
        </select>
      </label>
      {isFlat ? null : (
        <label className="check">
          <input type="checkbox" checked={force} onChange={(event) => setForce(event.target.checked)} />
          <span>
            It is not proven flat ({words(kill.stage).toLowerCase()}). Release it all the same: I have looked at open
            orders and positions on the venue&apos;s own page.
          </span>
        </label>
      )}
    </ConfirmDialog>
  );
}

function History({
  kills,
  onSteps,
}: {
  kills: readonly KillSwitch[];
  onSteps: (kill: KillSwitch) => void;
}): ReactElement {
  return (
    <div className="kill-history">
      <h3>Before</h3>
      <ul>
        {kills.map((one) => (
          <li key={one.kill_id}>
            <strong>{one.scope}</strong>
            <span>
              <Time ns={one.engaged_at} withDate /> by {one.engaged_by}: {one.engaged_why}
            </span>
            <span>
              released <Time ns={one.released_at} withDate /> by {one.released_by}: {one.released_why}
              {one.forced ? <strong className="problem"> without proof</strong> : null}
            </span>
            <button
              type="button"
              className="small"
              aria-label={`Steps of number ${one.kill_id}`}
              onClick={() => onSteps(one)}
            >
              Its steps
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface KillStep {
  stage: string;
  reason: string;
  actor: string;
  ts_event: string;
}

function StepsDialog({ kill, onClose }: { kill: KillSwitch; onClose: () => void }): ReactElement {
  const asked = useAsked<KillStep[] | { rows: KillStep[] }>(`/kill-switches/${kill.kill_id}/steps`);
  const steps = Array.isArray(asked.data) ? asked.data : (asked.data?.rows ?? []);
  return (
    <Dialog title={`Kill switch of ${kill.scope}, number ${kill.kill_id}`} open onClose={onClose} wide>
      <ErrorNote error={asked.error} onAgain={asked.again} />
      {asked.isLoading ? <Skeleton /> : null}
      <ol className="kill-steps">
        {steps.map((step, index) => (
          <li key={index}>
            <Time ns={step.ts_event} withDate /> <StatusBadge state={step.stage} />{" "}
            <span>{step.reason || "\u2013"}</span>
            <span className="soft">{step.actor}</span>
          </li>
        ))}
      </ol>
      <div className="dialog-actions">
        <button type="button" className="primary" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
