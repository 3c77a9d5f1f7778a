/** Strategies: what each does and has earned, its settings, its log, and the way to start and stop it. */

import { Tabs } from "radix-ui";
import { useEffect, useState, useSyncExternalStore, type ReactElement } from "react";
import { useKeys } from "../../app/keys";
import { href, navigate, useRoute } from "../../app/routes";
import { usePart, useParts } from "../../live/live";
import { Action, useRefusal } from "../../shown/Action";
import { useAsked } from "../../shown/asking";
import { EmptyState, ErrorNote, Skeleton } from "../../shown/notes";
import { Age, Money, StatusBadge } from "../../shown/quantities";
import { StrategyActDialog, type StrategyAct } from "./acting";
import { Logs } from "./Logs";
import { SettingsForm } from "./SettingsForm";
import { Sparkline } from "./Sparkline";
import "./strategies.css";
import { POLICIES, type Strategy, type StrategyDetail } from "./types";

const EVERY_MS = 5_000;

export default function StrategiesView(): ReactElement {
  useParts("strategies", "equity", "equity_points", "positions");
  const route = useRoute();
  const told = usePart("strategies") as unknown as readonly Strategy[];
  const asked = useAsked<{ rows: Strategy[] }>("/strategies", {}, EVERY_MS);
  const rows = told.length ? told : (asked.data?.rows ?? []);
  const [act, setAct] = useState<StrategyAct | null>(null);
  const isWide = useWide();
  const wanted = route.rest[0] ?? (isWide ? rows[0]?.strategy_id : undefined);
  const chosen = rows.find((one) => one.strategy_id === wanted);
  return (
    <div className={wanted ? "strategies with-detail" : "strategies"}>
      <section className="strategy-cards" aria-label="Strategies">
        <ErrorNote error={rows.length ? null : asked.error} onAgain={asked.again} />
        {asked.isLoading && !rows.length ? <Skeleton lines={6} /> : null}
        {!asked.isLoading && !asked.error && !rows.length ? (
          <EmptyState title="No strategies">A strategy appears here when its service has started.</EmptyState>
        ) : null}
        {rows.map((one) => (
          <Card key={one.strategy_id} strategy={one} isChosen={one === chosen} onAct={setAct} />
        ))}
      </section>
      {wanted ? <Detail key={wanted} strategyId={wanted} told={chosen} onAct={setAct} /> : null}
      {act ? <StrategyActDialog act={act} onClose={() => setAct(null)} /> : null}
    </div>
  );
}

const WIDE = matchMedia("(min-width: 901px)");

/** Where there is room, the first strategy is open from the start. */
function useWide(): boolean {
  return useSyncExternalStore(
    (listener) => {
      WIDE.addEventListener("change", listener);
      return () => WIDE.removeEventListener("change", listener);
    },
    () => WIDE.matches,
  );
}

interface CardProps {
  strategy: Strategy;
  isChosen: boolean;
  onAct: (act: StrategyAct) => void;
}

function Card({ strategy, isChosen, onAct }: CardProps): ReactElement {
  const id = strategy.strategy_id;
  return (
    <article className={`strategy-card${isChosen ? " chosen" : ""}`} aria-label={id}>
      <header>
        <h2>
          <a href={href("strategies", id)}>{id}</a>
        </h2>
        <StatusBadge state={strategy.state} />
      </header>
      <p className="muted">
        {strategy.kind}, for <Age ns={strategy.since} />
        {strategy.run ? `, run ${strategy.run}` : ""}
      </p>
      <p className="strategy-pnl">
        <Profit strategy={strategy} />
        <Sparkline strategyId={id} />
      </p>
      <Trouble strategy={strategy} />
      <Buttons strategy={strategy} onAct={onAct} />
    </article>
  );
}

function Profit({ strategy }: { strategy: Strategy }): ReactElement {
  const equity = usePart("equity", (all) => all.find((one) => one.strategy_id === strategy.strategy_id));
  const value = equity?.net_pnl ?? strategy.net_pnl ?? null;
  return <Money value={value} unit={equity?.currency ?? strategy.currency ?? ""} />;
}

const WHAT_TO_DO: Partial<Record<Strategy["state"], string>> = {
  FAILED:
    "Read its log, mend what the reason names (settings, state or code), then start it again. What it left open is under Orders.",
  AWAY: "Its service is not heard. Look under System whether it runs; its orders stay at the venue meanwhile.",
};

function Trouble({ strategy }: { strategy: Strategy }): ReactElement | null {
  const advice = WHAT_TO_DO[strategy.state];
  if (!advice) return strategy.reason ? <p className="soft strategy-reason">{strategy.reason}</p> : null;
  return (
    <div className="error-note">
      <p>{strategy.reason || `It is ${strategy.state.toLowerCase()}, and has not said why.`}</p>
      <p className="soft">{advice}</p>
    </div>
  );
}

function Buttons({ strategy, onAct }: { strategy: Strategy; onAct: (act: StrategyAct) => void }): ReactElement {
  const refusal = useRefusal("strategies");
  const runs = strategy.state === "RUNNING" || strategy.state === "STARTING";
  const away = strategy.state === "AWAY" ? "Its service is away: nobody is there to take it." : null;
  const id = strategy.strategy_id;
  return (
    <div className="strategy-actions">
      <Action
        className="small"
        label={`Start ${id}`}
        refusal={refusal ?? away ?? (runs ? "It runs already." : null)}
        onClick={() => onAct({ do: "start", strategy })}
      >
        Start…
      </Action>
      <Action
        className="small"
        label={`Stop ${id}`}
        refusal={refusal ?? away ?? (strategy.state === "STOPPED" ? "It is stopped already." : null)}
        onClick={() => onAct({ do: "stop", strategy })}
      >
        Stop…
      </Action>
      <Action
        className="small"
        label={`Policy: ${POLICIES[strategy.policy]?.title ?? strategy.policy}, of ${id}`}
        refusal={refusal}
        onClick={() => onAct({ do: "policy", strategy })}
      >
        Policy: {POLICIES[strategy.policy]?.title ?? strategy.policy}…
      </Action>
    </div>
  );
}

interface DetailProps {
  strategyId: string;
  told: Strategy | undefined;
  onAct: (act: StrategyAct) => void;
}

function Detail({ strategyId, told, onAct }: DetailProps): ReactElement {
  const asked = useAsked<StrategyDetail>(`/strategies/${encodeURIComponent(strategyId)}`);
  const { again } = asked;
  const stamp = told ? `${told.state} ${told.run} ${told.version ?? ""} ${told.policy}` : "";
  useEffect(() => {
    if (stamp) again();
  }, [stamp, again]);
  useKeys("Strategy", [{ keys: "Escape", about: "Close the strategy", run: () => navigate("strategies") }]);
  const strategy = asked.data ? { ...asked.data, ...told, version: asked.data.version } : null;
  return (
    <section className="panel strategy-detail" aria-label={`Strategy ${strategyId}`}>
      <header>
        <h2>{strategyId}</h2>
        {strategy ? <StatusBadge state={strategy.state} /> : null}
        <div className="panel-actions">
          <a className="button small" href={`${href("orders")}?strategy=${encodeURIComponent(strategyId)}`}>
            Its orders
          </a>
          <button
            type="button"
            className="plain strategy-close"
            aria-label="Close the strategy"
            onClick={() => navigate("strategies")}
          >
            {"\u00D7"}
          </button>
        </div>
      </header>
      {strategy ? (
        <div className="strategy-summary">
          <Trouble strategy={strategy} />
          <Buttons strategy={strategy} onAct={onAct} />
        </div>
      ) : null}
      <Tabs.Root defaultValue="settings" className="strategy-tabs">
        <Tabs.List className="tabs" aria-label="What of the strategy">
          <Tabs.Trigger value="settings">Settings</Tabs.Trigger>
          <Tabs.Trigger value="log">Log</Tabs.Trigger>
        </Tabs.List>
        <Tabs.Content value="settings" tabIndex={-1}>
          <ErrorNote error={asked.error} onAgain={again} />
          {strategy ? (
            <SettingsForm strategy={strategy} onSaved={again} />
          ) : asked.isLoading ? (
            <Skeleton lines={8} />
          ) : null}
        </Tabs.Content>
        <Tabs.Content value="log" tabIndex={-1}>
          <Logs strategyId={strategyId} />
        </Tabs.Content>
      </Tabs.Root>
    </section>
  );
}
