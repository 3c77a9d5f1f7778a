/** A strategy's settings as a form made from their schema. They are used from its next start. */

import { useMemo, useState, type ReactElement } from "react";
import { ApiProblem, send } from "../../api/client";
import { words } from "../../money/format";
import { Action, useRefusal } from "../../shown/Action";
import { ConfirmDialog } from "../../shown/dialogs";
import { EmptyState, ErrorNote } from "../../shown/notes";
import { toast } from "../../shown/toasts";
import { boundsText, changedNames, fieldsOf, problemOf, textOf, valueOf, type Field } from "./form";
import type { StrategyDetail, Value } from "./types";

type Texts = Readonly<Record<string, string>>;

function textsOf(settings: Readonly<Record<string, Value>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, textOf(value)]));
}

export function SettingsForm({ strategy, onSaved }: { strategy: StrategyDetail; onSaved: () => void }): ReactElement {
  const fields = useMemo(() => fieldsOf(strategy.schema), [strategy.schema]);
  // What was stored when one began to edit: a later version of somebody else must not be overwritten unseen.
  const [base, setBase] = useState(strategy);
  const [texts, setTexts] = useState<Record<string, string>>(() => textsOf(strategy.settings));
  const [isSaving, setSaving] = useState(false);
  const changed = changedNames(fields, texts, base.settings);
  const problems = fields.filter((field) => problemOf(field, texts[field.name] ?? "") !== null);
  const refusal = useRefusal("strategies");
  const isOld = strategy.version !== base.version;
  const isTheirs = changedNames(fields, textsOf(strategy.settings), base.settings).length > 0;
  const isMine = changedNames(fields, texts, strategy.settings).length === 0;
  const begin = (): void => {
    setBase(strategy);
    setTexts(textsOf(strategy.settings));
  };
  // A later version that says what stands here (one's own, saved) or what stood before (a stop) is no conflict.
  if (isOld && (!changed.length || isMine)) begin();
  else if (isOld && !isTheirs) setBase(strategy);
  if (!fields.length)
    return <EmptyState title="No settings">This strategy has none, or has not told them yet.</EmptyState>;
  return (
    <div className="settings">
      {isOld && changed.length ? (
        <Conflict now={strategy} base={base} fields={fields} texts={texts} onTake={begin} />
      ) : null}
      <div className="settings-fields">
        {fields.map((field) => (
          <FieldRow
            key={field.name}
            field={field}
            text={texts[field.name] ?? ""}
            stored={base.settings[field.name]}
            inForce={strategy.settings_in_force?.[field.name]}
            isRunning={strategy.state === "RUNNING"}
            isLocked={refusal !== null}
            onChange={(text) => setTexts((now) => ({ ...now, [field.name]: text }))}
          />
        ))}
      </div>
      <div className="settings-actions">
        <span className="soft" role="status">
          {changed.length ? `${changed.length} changed` : "Nothing changed"}
          {problems.length ? `, ${problems.length} not valid` : ""}; version {base.version}
        </span>
        <button type="button" disabled={!changed.length} onClick={begin}>
          Undo changes
        </button>
        <Action
          className="primary"
          refusal={refusal ?? saveRefusal(changed, problems, isOld)}
          onClick={() => setSaving(true)}
        >
          Save…
        </Action>
      </div>
      {isSaving ? (
        <SaveDialog
          base={base}
          fields={fields}
          texts={texts}
          changed={changed}
          onClose={() => setSaving(false)}
          onSaved={onSaved}
        />
      ) : null}
    </div>
  );
}

function saveRefusal(changed: readonly string[], problems: readonly Field[], isOld: boolean): string | null {
  if (!changed.length) return "Nothing has been changed.";
  if (problems.length) return `Not valid yet: ${problems.map((field) => field.title).join(", ")}.`;
  return isOld ? "Somebody else has saved meanwhile. Look at the difference first." : null;
}

interface FieldRowProps {
  field: Field;
  text: string;
  stored: Value | undefined;
  inForce: Value | undefined;
  isRunning: boolean;
  isLocked: boolean;
  onChange: (text: string) => void;
}

function FieldRow({ field, text, stored, inForce, isRunning, isLocked, onChange }: FieldRowProps): ReactElement {
  const id = `setting-${field.name}`;
  const problem = problemOf(field, text);
  const isChanged = text !== textOf(stored);
  const differs = isRunning && inForce !== undefined && textOf(inForce) !== textOf(stored);
  return (
    <div className={`setting${isChanged ? " changed" : ""}`}>
      <label htmlFor={id}>
        {field.title}
        {isChanged ? <span className="mark"> changed, was {textOf(stored) || "empty"}</span> : null}
      </label>
      <div className="setting-input">
        <Input field={field} id={id} text={text} isWrong={problem !== null} isLocked={isLocked} onChange={onChange} />
        {field.unit ? <span className="unit">{field.unit}</span> : null}
      </div>
      {problem ? (
        <p id={`${id}-problem`} className="problem">
          {problem}
        </p>
      ) : null}
      <p id={`${id}-help`} className="hint">
        {[field.help, boundsText(field)].filter(Boolean).join(" \u00B7 ")}
        {differs ? <strong> It runs with {textOf(inForce) || "empty"} until its next start.</strong> : null}
      </p>
    </div>
  );
}

interface InputProps {
  field: Field;
  id: string;
  text: string;
  isWrong: boolean;
  isLocked: boolean;
  onChange: (text: string) => void;
}

function Input({ field, id, text, isWrong, isLocked, onChange }: InputProps): ReactElement {
  const told = { id, "aria-describedby": isWrong ? `${id}-problem ${id}-help` : `${id}-help`, disabled: isLocked };
  if (field.kind === "boolean") {
    return (
      <input
        type="checkbox"
        {...told}
        checked={text === "true"}
        onChange={(event) => onChange(String(event.target.checked))}
      />
    );
  }
  if (field.kind === "choice") {
    return (
      <select {...told} value={text} onChange={(event) => onChange(event.target.value)}>
        {field.isNullable ? <option value="">none</option> : null}
        {field.choices.map((one) => (
          <option key={String(one)} value={String(one)}>
            {words(String(one))}
          </option>
        ))}
      </select>
    );
  }
  return (
    <input
      {...told}
      aria-invalid={isWrong}
      inputMode={field.kind === "text" ? "text" : "decimal"}
      autoComplete="off"
      spellCheck={false}
      value={text}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}

interface ConflictProps {
  now: StrategyDetail;
  base: StrategyDetail;
  fields: readonly Field[];
  texts: Texts;
  onTake: () => void;
}

/** Somebody else saved while one edited: both sides of each field, and the way out. */
function Conflict({ now, base, fields, texts, onTake }: ConflictProps): ReactElement {
  const theirs = changedNames(fields, textsOf(now.settings), base.settings);
  return (
    <div className="error-note" role="alert">
      <p>
        <strong>Somebody else has saved version {now.version}</strong> while you were editing version {base.version}.
      </p>
      <ul>
        {theirs.map((name) => (
          <li key={name}>
            {fields.find((field) => field.name === name)?.title}: now {textOf(now.settings[name]) || "empty"}, yours{" "}
            {texts[name] ?? "empty"}
          </li>
        ))}
      </ul>
      <button type="button" onClick={onTake}>
        Take version {now.version} and edit that
      </button>
    </div>
  );
}

interface SaveProps {
  base: StrategyDetail;
  fields: readonly Field[];
  texts: Texts;
  changed: readonly string[];
  onClose: () => void;
  onSaved: () => void;
}

function SaveDialog({ base, fields, texts, changed, onClose, onSaved }: SaveProps): ReactElement {
  const [isRestart, setRestart] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const chosen = fields.filter((field) => changed.includes(field.name));
  const save = async (why: string): Promise<void> => {
    const values = {
      ...base.settings,
      ...Object.fromEntries(chosen.map((field) => [field.name, valueOf(field, texts[field.name] ?? "")])),
    };
    try {
      await send("PUT", `/strategies/${encodeURIComponent(base.strategy_id)}/settings`, {
        values,
        version: base.version,
        why,
        ...(isRestart ? { restart: true } : {}),
      });
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.status !== 409) throw error;
      onSaved();
      setProblem(error);
      throw error;
    }
    toast(isRestart ? "Saved; the strategy restarts with it." : "Saved; used from the next start.", "good");
    onSaved();
  };
  return (
    <ConfirmDialog
      title={`Settings of ${base.strategy_id}`}
      open
      onClose={onClose}
      action={isRestart ? "Save and restart" : "Save"}
      onConfirm={save}
      danger={isRestart}
    >
      <ul className="review">
        {chosen.map((field) => (
          <li key={field.name}>
            {field.title}: {textOf(base.settings[field.name]) || "empty"} {"\u2192"}{" "}
            <strong>{(texts[field.name] ?? "") || "empty"}</strong> {field.unit}
          </li>
        ))}
      </ul>
      {base.state === "RUNNING" ? (
        <label className="check">
          <input type="checkbox" checked={isRestart} onChange={(event) => setRestart(event.target.checked)} />
          <span>Restart it now; otherwise it is used from its next start</span>
        </label>
      ) : null}
      {problem ? <ErrorNote error={new Error("Close this and look at the difference.")} /> : null}
    </ConfirmDialog>
  );
}
