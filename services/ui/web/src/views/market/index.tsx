/** Market. */

import type { ReactElement } from "react";
import { EmptyState } from "../../shown/notes";

export default function MarketView(): ReactElement {
  return <EmptyState title="Market">Not here yet.</EmptyState>;
}
