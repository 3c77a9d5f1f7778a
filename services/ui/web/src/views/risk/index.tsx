/** Risk. */

import type { ReactElement } from "react";
import { EmptyState } from "../../shown/notes";

export default function RiskView(): ReactElement {
  return <EmptyState title="Risk">Not here yet.</EmptyState>;
}
