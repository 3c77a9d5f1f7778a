/** Strategies. */

import type { ReactElement } from "react";
import { EmptyState } from "../../shown/notes";

export default function StrategiesView(): ReactElement {
  return <EmptyState title="Strategies">Not here yet.</EmptyState>;
}
