/** The kill switch: from every view, in two steps. Its release is in Risk, by another person. */

import { useState, type ReactElement } from "react";
import { send } from "../api/client";
import { usePart } from "../live/live";
import { isEngaged } from "../live/model";
import { useMay } from "../session/session";
import { ConfirmDialog, Dialog } from "../shown/dialogs";
import { toast } from "../shown/toasts";
import { href } from "./routes";

export function KillSwitchDialog({ open, onClose }: { open: boolean; onClose: () => void }): ReactElement {
  const may = useMay("risk");
  return may ? <Engage open={open} onClose={onClose} /> : <NotAllowed open={open} onClose={onClose} />;
}

function NotAllowed({ open, onClose }: { open: boolean; onClose: () => void }): ReactElement {
  return (
    <Dialog title="Kill switch" open={open} onClose={onClose}>
      <p>Your role may not engage it. Call somebody with the role risk or admin.</p>
      <p className="soft">You may cancel orders under Orders, if your role trades.</p>
      <div className="dialog-actions">
        <a className="button" href={href("orders")} onClick={onClose}>
          To the orders
        </a>
        <button type="button" className="primary" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

/** Scopes that can be killed: everything, each account, strategy and instrument that is known. */
function useScopes(): readonly string[] {
  const instruments = usePart("instruments");
  const states = usePart("trading_states");
  const scopes = new Set(["firm", ...states.map((one) => one.scope)]);
  for (const id of instruments.keys()) scopes.add(`instrument:${id}`);
  return [...scopes];
}

export function scopeText(scope: string): string {
  const [kind, ...name] = scope.split(":");
  return scope === "firm" ? "everything (firm)" : `${kind ?? ""} ${name.join(":")}`;
}

function Engage({ open, onClose }: { open: boolean; onClose: () => void }): ReactElement {
  const scopes = useScopes();
  const engaged = usePart("kill_switches", (switches) => switches.find(isEngaged));
  const [scope, setScope] = useState("firm");
  const [flatten, setFlatten] = useState(false);
  const engage = async (why: string): Promise<void> => {
    await send("POST", "/kill-switches", { scope, flatten, why });
    toast(`The kill switch of ${scopeText(scope)} is on its way. Risk shows how far it has come.`, "bad");
  };
  return (
    <ConfirmDialog
      title="Kill switch"
      open={open}
      onClose={onClose}
      danger
      steps={2}
      action={`Kill ${scopeText(scope)}`}
      onConfirm={engage}
      review={<Review scope={scope} flatten={flatten} />}
    >
      {engaged ? (
        <p className="error-note">
          {scopeText(engaged.scope)} is killed already ({engaged.stage.toLowerCase()}).{" "}
          <a href={href("risk")} onClick={onClose}>
            To Risk
          </a>
        </p>
      ) : null}
      <label className="field">
        <span>What</span>
        <select value={scope} onChange={(event) => setScope(event.target.value)}>
          {scopes.map((one) => (
            <option key={one} value={one}>
              {scopeText(one)}
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

function Review({ scope, flatten }: { scope: string; flatten: boolean }): ReactElement {
  return (
    <ul>
      <li>
        New orders of <strong>{scopeText(scope)}</strong> are refused at once.
      </li>
      <li>All its resting orders are cancelled.</li>
      <li>{flatten ? <strong>Its positions are closed at the market.</strong> : "Its positions stay as they are."}</li>
      <li>It stays so until another person than you releases it.</li>
    </ul>
  );
}
