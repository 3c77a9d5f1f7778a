/** Users. */

import type { ReactElement } from "react";
import { EmptyState } from "../../shown/notes";

export default function UsersView(): ReactElement {
  return <EmptyState title="Users">Not here yet.</EmptyState>;
}
