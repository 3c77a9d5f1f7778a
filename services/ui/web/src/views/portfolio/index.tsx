/** Portfolio. */

import type { ReactElement } from "react";
import { EmptyState } from "../../shown/notes";

export default function PortfolioView(): ReactElement {
  return <EmptyState title="Portfolio">Not here yet.</EmptyState>;
}
