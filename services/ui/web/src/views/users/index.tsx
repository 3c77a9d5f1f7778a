/** Users: oneself, the others, and what everybody has done. */

import type { ReactElement } from "react";
import { AuditPanel } from "./AuditPanel";
import { OwnPanel } from "./OwnPanel";
import { PeoplePanel } from "./PeoplePanel";
import "./users.css";

export default function UsersView(): ReactElement {
  return (
    <div className="users">
      <div className="users-side">
        <OwnPanel />
        <PeoplePanel />
      </div>
      <AuditPanel />
    </div>
  );
}
