/** Users and their roles: invite, change, let in and out, a new link for a lost password. */

import { useState, type ReactElement } from "react";
import { send } from "../../api/client";
import { useSession } from "../../session/session";
import { Action, useRefusal } from "../../shown/Action";
import { useAsked } from "../../shown/asking";
import { ConfirmDialog } from "../../shown/dialogs";
import { EmptyState, ErrorNote, Panel, Skeleton } from "../../shown/notes";
import { StatusBadge, Time } from "../../shown/quantities";
import { toast } from "../../shown/toasts";
import { OnceShown } from "./OnceShown";

interface UserRow {
  name: string;
  role: string;
  enabled: boolean;
  has_password: boolean;
  created_at: string;
  last_login_at: string | null;
}

const ROLES: readonly { value: string; help: string }[] = [
  { value: "viewer", help: "sees everything, does nothing" },
  { value: "trader", help: "trades, cancels, runs strategies" },
  { value: "risk", help: "cancels, runs strategies, halts, kills, resolves, reads the audit" },
  { value: "admin", help: "everything, users too" },
];

type Act = { do: "invite" } | { do: "change" | "enable" | "link"; user: UserRow };

export function PeoplePanel(): ReactElement {
  const refusal = useRefusal("admin");
  const asked = useAsked<{ rows: UserRow[] }>(refusal ? null : "/users", { limit: 200 });
  const [act, setAct] = useState<Act | null>(null);
  const [link, setLink] = useState<{ name: string; url: string } | null>(null);
  return (
    <Panel
      title="People"
      className="people"
      actions={
        <Action className="primary small" refusal={refusal} onClick={() => setAct({ do: "invite" })}>
          Invite…
        </Action>
      }
    >
      {refusal ? <EmptyState title="Not shown to your role">{refusal}</EmptyState> : null}
      <ErrorNote error={asked.error} onAgain={asked.again} />
      {asked.isLoading ? <Skeleton lines={5} /> : null}
      <ul className="people-list">
        {(asked.data?.rows ?? []).map((user) => (
          <PersonLine key={user.name} user={user} onAct={setAct} />
        ))}
      </ul>
      {act ? <ActDialog act={act} onClose={() => setAct(null)} onDone={asked.again} onLink={setLink} /> : null}
      {link ? (
        <OnceShown title={`One-time link for ${link.name}`} secret={link.url} onClose={() => setLink(null)}>
          <p>
            Give it to <strong>{link.name}</strong> by a way that you trust. Whoever opens it first sets the password;
            it works once.
          </p>
        </OnceShown>
      ) : null}
    </Panel>
  );
}

function PersonLine({ user, onAct }: { user: UserRow; onAct: (act: Act) => void }): ReactElement {
  const own = useSession((now) => now.user?.name) === user.name;
  const state = !user.enabled ? "Disabled" : user.has_password ? "May log in" : "Invited";
  const tone = !user.enabled ? "off" : user.has_password ? "good" : "warn";
  return (
    <li>
      <span>
        <strong>{user.name}</strong> <span className="soft">{own ? "(you)" : ""}</span>
      </span>
      <span>{user.role}</span>
      <StatusBadge state={state} tone={tone} />
      <span className="person-more">
        <span className="soft person-login">
          last login <Time ns={user.last_login_at} withDate />
        </span>
        <span className="person-actions">
          <Action
            className="small"
            label={`Role of ${user.name}`}
            refusal={own ? "Your own role is changed by another admin." : null}
            onClick={() => onAct({ do: "change", user })}
          >
            Role…
          </Action>
          <Action
            className="small"
            label={`${user.enabled ? "Disable" : "Enable"} ${user.name}`}
            refusal={own ? "You cannot disable yourself." : null}
            onClick={() => onAct({ do: "enable", user })}
          >
            {user.enabled ? "Disable…" : "Enable…"}
          </Action>
          <Action className="small" label={`New link for ${user.name}`} onClick={() => onAct({ do: "link", user })}>
            New link…
          </Action>
        </span>
      </span>
    </li>
  );
}

interface ActProps {
  onClose: () => void;
  onDone: () => void;
  onLink: (link: { name: string; url: string }) => void;
}

function ActDialog({ act, ...props }: ActProps & { act: Act }): ReactElement {
  if (act.do === "invite") return <Invite {...props} />;
  if (act.do === "change") return <ChangeRole user={act.user} {...props} />;
  return act.do === "enable" ? <Enable user={act.user} {...props} /> : <NewLink user={act.user} {...props} />;
}

function RoleField({ role, onChange }: { role: string; onChange: (role: string) => void }): ReactElement {
  return (
    <label className="field">
      <span>Role</span>
      <select value={role} onChange={(event) => onChange(event.target.value)}>
        {ROLES.map((one) => (
          <option key={one.value} value={one.value}>
            {one.value}: {one.help}
          </option>
        ))}
      </select>
    </label>
  );
}

function Invite({ onClose, onDone, onLink }: ActProps): ReactElement {
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const isName = /^[a-z0-9][a-z0-9._-]{0,31}$/.test(name);
  const invite = async (): Promise<void> => {
    const made = await send<{ claim_url: string }>("POST", "/users", { name, role });
    onDone();
    onLink({ name, url: made.claim_url });
  };
  return (
    <ConfirmDialog
      title="Invite somebody"
      open
      onClose={onClose}
      action="Make the link"
      reason="none"
      isReady={isName}
      onConfirm={invite}
    >
      <label className="field">
        <span>Name</span>
        <input
          value={name}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          onChange={(event) => setName(event.target.value)}
        />
        <span className="hint">
          Small letters, digits, dots and dashes. It stands in the audit and cannot be changed.
        </span>
      </label>
      <RoleField role={role} onChange={setRole} />
    </ConfirmDialog>
  );
}

function ChangeRole({ user, onClose, onDone }: ActProps & { user: UserRow }): ReactElement {
  const [role, setRole] = useState(user.role);
  const change = async (why: string): Promise<void> => {
    await send("PATCH", `/users/${encodeURIComponent(user.name)}`, { role, why });
    toast(`${user.name} is ${role} now.`, "good");
    onDone();
  };
  return (
    <ConfirmDialog
      title={`Role of ${user.name}`}
      open
      onClose={onClose}
      action="Change role"
      isReady={role !== user.role}
      onConfirm={change}
    >
      <RoleField role={role} onChange={setRole} />
      <p className="soft">It takes effect at once: logins of {user.name} end.</p>
    </ConfirmDialog>
  );
}

function Enable({ user, onClose, onDone }: ActProps & { user: UserRow }): ReactElement {
  const verb = user.enabled ? "Disable" : "Enable";
  const change = async (why: string): Promise<void> => {
    await send("PATCH", `/users/${encodeURIComponent(user.name)}`, { enabled: !user.enabled, why });
    toast(`${user.name} is ${user.enabled ? "disabled" : "enabled"}.`, "good");
    onDone();
  };
  return (
    <ConfirmDialog
      title={`${verb} ${user.name}`}
      open
      onClose={onClose}
      danger={user.enabled}
      action={`${verb} ${user.name}`}
      onConfirm={change}
    >
      <p>
        {user.enabled
          ? "All logins and api tokens of this user end at once. What the user did stays in the audit."
          : "The user may log in again with the former password."}
      </p>
    </ConfirmDialog>
  );
}

function NewLink({ user, onClose, onLink }: ActProps & { user: UserRow }): ReactElement {
  const make = async (): Promise<void> => {
    const made = await send<{ claim_url: string }>("POST", `/users/${encodeURIComponent(user.name)}/link`);
    onLink({ name: user.name, url: made.claim_url });
  };
  return (
    <ConfirmDialog
      title={`New link for ${user.name}`}
      open
      onClose={onClose}
      action="Make the link"
      reason="none"
      onConfirm={make}
    >
      <p>For somebody who has lost the password. Links that were made before end.</p>
    </ConfirmDialog>
  );
}
