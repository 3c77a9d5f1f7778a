/** Starting and stopping strategies, and their policy. */

import { useState, type ReactElement } from "react";
import { send } from "../../api/client";
import { ConfirmDialog } from "../../shown/dialogs";
import { toast } from "../../shown/toasts";
import { POLICIES, type Strategy } from "./types";

export interface StrategyAct {
  do: "start" | "stop" | "policy";
  strategy: Strategy;
}

function path(strategy: Strategy, tail: string): string {
  return `/strategies/${encodeURIComponent(strategy.strategy_id)}/${tail}`;
}

export function StrategyActDialog({ act, onClose }: { act: StrategyAct; onClose: () => void }): ReactElement {
  if (act.do === "start") return <Start strategy={act.strategy} onClose={onClose} />;
  if (act.do === "stop") return <Stop strategy={act.strategy} onClose={onClose} />;
  return <PolicyDialog strategy={act.strategy} onClose={onClose} />;
}

interface Props {
  strategy: Strategy;
  onClose: () => void;
}

function Start({ strategy, onClose }: Props): ReactElement {
  const policy = POLICIES[strategy.policy];
  const start = async (why: string): Promise<void> => {
    await send("POST", path(strategy, "start"), { why });
    toast(`The start of ${strategy.strategy_id} is on its way.`);
  };
  return (
    <ConfirmDialog title={`Start ${strategy.strategy_id}`} open onClose={onClose} action="Start it" onConfirm={start}>
      <p>It starts with its stored settings and trades at once.</p>
      <p className="soft">
        If its state and the store disagree: <strong>{policy?.title ?? strategy.policy}</strong>. {policy?.help}
      </p>
      {strategy.state === "FAILED" && strategy.reason ? (
        <p className="error-note">It failed before: {strategy.reason}</p>
      ) : null}
    </ConfirmDialog>
  );
}

const ENDS: readonly { value: string; title: string; help: string }[] = [
  {
    value: "",
    title: "As its policy says",
    help: "What is set for it decides what becomes of its orders and positions.",
  },
  {
    value: "resume",
    title: "Keep its positions",
    help: "Its orders are cancelled, its positions stay as they are and are taken up by its next start.",
  },
  {
    value: "flatten",
    title: "Close its positions",
    help: "Its orders are cancelled, its positions are closed with reduce-only market orders.",
  },
  {
    value: "hold",
    title: "Leave everything",
    help: "Its orders stay at the venue and its positions stay. Nobody looks after them.",
  },
];

function Stop({ strategy, onClose }: Props): ReactElement {
  const [policy, setPolicy] = useState("");
  const stop = async (why: string): Promise<void> => {
    await send("POST", path(strategy, "stop"), { why, ...(policy ? { policy } : {}) });
    toast(`The stop of ${strategy.strategy_id} is on its way.`);
  };
  return (
    <ConfirmDialog
      title={`Stop ${strategy.strategy_id}`}
      open
      onClose={onClose}
      danger
      action="Stop it"
      onConfirm={stop}
    >
      <Choices legend="What becomes of what it has?" choices={ENDS} value={policy} onChange={setPolicy} />
      <p className="soft">It stays stopped, over restarts of its service too, until somebody starts it.</p>
    </ConfirmDialog>
  );
}

function PolicyDialog({ strategy, onClose }: Props): ReactElement {
  const [policy, setPolicy] = useState(strategy.policy);
  const choices = Object.entries(POLICIES).map(([value, one]) => ({ value, ...one }));
  const change = async (why: string): Promise<void> => {
    await send("PUT", path(strategy, "policy"), { policy, why });
    toast(`The policy of ${strategy.strategy_id} is ${policy} from its next start.`, "good");
  };
  return (
    <ConfirmDialog
      title={`Policy of ${strategy.strategy_id}`}
      open
      onClose={onClose}
      action="Change policy"
      isReady={policy !== strategy.policy}
      onConfirm={change}
    >
      <Choices
        legend="When its state and the store disagree at a start"
        choices={choices}
        value={policy}
        onChange={setPolicy}
      />
    </ConfirmDialog>
  );
}

function Choices({
  legend,
  choices,
  value,
  onChange,
}: {
  legend: string;
  choices: readonly { value: string; title: string; help: string }[];
  value: string;
  onChange: (value: string) => void;
}): ReactElement {
  return (
    <fieldset className="choices">
      <legend>{legend}</legend>
      {choices.map((one) => (
        <label key={one.value}>
          <input type="radio" name="choice" checked={value === one.value} onChange={() => onChange(one.value)} />
          <span className="choice-title">{one.title}</span>
          <span className="choice-help">{one.help}</span>
        </label>
      ))}
    </fieldset>
  );
}
