/** Scopes that can be halted or killed: everything, and each account, strategy and instrument that is known. */

import { useMemo } from "react";
import { usePart } from "../../live/live";
import { useAsked } from "../../shown/asking";

export function useScopes(): readonly string[] {
  const instruments = usePart("instruments");
  const states = usePart("trading_states");
  const positions = usePart("positions");
  const balances = usePart("balances");
  const asked = useAsked<{ rows: { strategy_id: string }[] }>("/strategies");
  const strategies = asked.data?.rows;
  return useMemo(() => {
    const found = new Set<string>();
    for (const one of balances) found.add(`account:${one.account_id}`);
    for (const one of strategies ?? []) found.add(`strategy:${one.strategy_id}`);
    for (const one of positions) found.add(`strategy:${one.strategy_id}`).add(`account:${one.account_id}`);
    for (const id of instruments.keys()) found.add(`instrument:${id}`);
    for (const one of states) found.add(one.scope);
    found.delete("firm");
    return ["firm", ...[...found].sort()];
  }, [instruments, states, positions, balances, strategies]);
}
