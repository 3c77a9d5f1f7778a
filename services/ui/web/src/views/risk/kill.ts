/** How far a kill switch has come, and who may release it. */

import type { KillSwitch } from "../../api/types";

export const STAGES = ["ENGAGED", "CANCELING", "FLATTENING", "VERIFYING", "FLAT"] as const;

export const STAGE_TEXTS: Readonly<Record<string, { title: string; help: string }>> = {
  ENGAGED: { title: "Halted", help: "New orders are refused." },
  CANCELING: { title: "Cancelling", help: "Every order in the scope is brought to its end." },
  FLATTENING: { title: "Closing", help: "Positions are closed at the market." },
  VERIFYING: { title: "Proving", help: "A later snapshot of the venue must show nothing left." },
  FLAT: { title: "Proven flat", help: "It may be released." },
};

export interface StageView {
  name: string;
  state: "done" | "now" | "ahead";
}

/** The stages of a switch; closing is one only if it was asked for. STUCK stands where it was held up, so all but FLAT are open. */
export function stagesOf(kill: KillSwitch): StageView[] {
  const names = STAGES.filter((name) => name !== "FLATTENING" || kill.flatten);
  const at = names.indexOf(kill.stage as (typeof STAGES)[number]);
  const isFlat = kill.stage === "FLAT";
  return names.map((name, index) => ({
    name,
    state: at < 0 ? (index === 0 ? "done" : "ahead") : index < at || isFlat ? "done" : index === at ? "now" : "ahead",
  }));
}

/** Why this person cannot release the switch; null when she can. */
export function releaseRefusal(kill: KillSwitch, userName: string | undefined): string | null {
  if (kill.released_at !== null) return "It is released already.";
  if (kill.engaged_by === userName)
    return `You engaged it: its release needs a second person. Ask somebody with the role risk or admin.`;
  return null;
}

/** What must be typed to confirm that one means this scope. */
export function typedName(scope: string): string {
  return scope.includes(":") ? scope.slice(scope.indexOf(":") + 1) : scope;
}
