/** Risk: how near each limit is, what each scope may do, and the kill switch. */

import type { ReactElement } from "react";
import { useParts } from "../../live/live";
import { KillPanel } from "./KillPanel";
import { LimitsPanel } from "./LimitsPanel";
import "./risk.css";
import { StatesPanel } from "./StatesPanel";

export default function RiskView(): ReactElement {
  useParts("limits", "positions", "balances");
  return (
    <div className="risk">
      <div className="risk-states">
        <StatesPanel />
        <KillPanel />
      </div>
      <LimitsPanel />
    </div>
  );
}
