/** One's own password and api tokens. */

import { useState, type ReactElement } from "react";
import { send } from "../../api/client";
import { PasswordDialog } from "../../app/PasswordDialog";
import { useSession } from "../../session/session";
import { Action } from "../../shown/Action";
import { useAsked } from "../../shown/asking";
import { ConfirmDialog } from "../../shown/dialogs";
import { ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { Time } from "../../shown/quantities";
import { toast } from "../../shown/toasts";
import { OnceShown } from "./OnceShown";

interface Token {
  token_id: string;
  name: string;
  user: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
}

export function OwnPanel(): ReactElement {
  const user = useSession((now) => now.user);
  const asked = useAsked<{ rows: Token[] }>("/tokens");
  const [isChanging, setChanging] = useState(false);
  const [isMaking, setMaking] = useState(false);
  const [ending, setEnding] = useState<Token | null>(null);
  const [secret, setSecret] = useState("");
  const rows = asked.data?.rows ?? [];
  return (
    <Panel
      title={`You: ${user?.name ?? ""}, ${user?.role ?? ""}`}
      className="own"
      actions={
        <>
          <button type="button" className="small" onClick={() => setChanging(true)}>
            Change password…
          </button>
          <button type="button" className="small" onClick={() => setMaking(true)}>
            New api token…
          </button>
        </>
      }
    >
      <ErrorNote error={asked.error} onAgain={asked.again} />
      {asked.isLoading ? <Skeleton lines={2} /> : null}
      {asked.data && !rows.length ? (
        <p className="empty">No api tokens. A program that acts for you needs one.</p>
      ) : null}
      <ul className="token-list">
        {rows.map((token) => (
          <li key={token.token_id}>
            <strong>{token.name}</strong>
            <span className="soft">
              made <Time ns={token.created_at} withDate />, {token.expires_at ? "until " : "until it is revoked"}
              {token.expires_at ? <Time ns={token.expires_at} withDate /> : null}, last used{" "}
              <Time ns={token.last_used_at} withDate />
            </span>
            <Action
              className="small"
              label={`Revoke ${token.name}`}
              refusal={token.revoked_at ? "It is revoked." : null}
              onClick={() => setEnding(token)}
            >
              {token.revoked_at ? "Revoked" : "Revoke…"}
            </Action>
          </li>
        ))}
      </ul>
      <PasswordDialog open={isChanging} onClose={() => setChanging(false)} />
      {isMaking ? <MakeDialog onClose={() => setMaking(false)} onMade={setSecret} onDone={asked.again} /> : null}
      {ending ? <RevokeDialog token={ending} onClose={() => setEnding(null)} onDone={asked.again} /> : null}
      {secret ? (
        <OnceShown title="Your new api token" secret={secret} onClose={() => setSecret("")}>
          <p>
            A program sends it as <code>Authorization: Bearer …</code>; the command line takes it from{" "}
            <code>TRADEWIND_API_TOKEN_FILE</code>. It may do what you may do.
          </p>
        </OnceShown>
      ) : null}
    </Panel>
  );
}

const LIVES: readonly { days: number | null; title: string }[] = [
  { days: 30, title: "30 days" },
  { days: 90, title: "90 days" },
  { days: 365, title: "a year" },
  { days: null, title: "until it is revoked" },
];

function MakeDialog({
  onClose,
  onMade,
  onDone,
}: {
  onClose: () => void;
  onMade: (secret: string) => void;
  onDone: () => void;
}): ReactElement {
  const [name, setName] = useState("");
  const [days, setDays] = useState<number | null>(90);
  const make = async (): Promise<void> => {
    const made = await send<{ secret: string }>("POST", "/tokens", { name: name.trim(), days });
    onDone();
    onMade(made.secret);
  };
  return (
    <ConfirmDialog
      title="New api token"
      open
      onClose={onClose}
      action="Make it"
      reason="none"
      isReady={name.trim() !== ""}
      onConfirm={make}
    >
      <label className="field">
        <span>What it is for</span>
        <input value={name} maxLength={64} autoComplete="off" onChange={(event) => setName(event.target.value)} />
      </label>
      <label className="field">
        <span>It works for</span>
        <select
          value={String(days)}
          onChange={(event) => setDays(event.target.value === "null" ? null : Number(event.target.value))}
        >
          {LIVES.map((one) => (
            <option key={one.title} value={String(one.days)}>
              {one.title}
            </option>
          ))}
        </select>
      </label>
    </ConfirmDialog>
  );
}

function RevokeDialog({
  token,
  onClose,
  onDone,
}: {
  token: Token;
  onClose: () => void;
  onDone: () => void;
}): ReactElement {
  const revoke = async (): Promise<void> => {
    await send("DELETE", `/tokens/${encodeURIComponent(token.token_id)}`);
    toast(`${token.name} is revoked.`, "good");
    onDone();
  };
  return (
    <ConfirmDialog
      title={`Revoke ${token.name}`}
      open
      onClose={onClose}
      danger
      action="Revoke it"
      reason="none"
      onConfirm={revoke}
    >
      <p>Programs that use it are refused at once.</p>
    </ConfirmDialog>
  );
}
