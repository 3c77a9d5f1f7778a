/** System. */

import type { ReactElement } from "react";
import { EmptyState } from "../../shown/notes";

export default function SystemView(): ReactElement {
  return <EmptyState title="System">Not here yet.</EmptyState>;
}
