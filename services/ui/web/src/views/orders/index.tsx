/** Orders. */

import type { ReactElement } from "react";
import { EmptyState } from "../../shown/notes";

export default function OrdersView(): ReactElement {
  return <EmptyState title="Orders">Not here yet.</EmptyState>;
}
