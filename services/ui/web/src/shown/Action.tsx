/** A button that says why it cannot be pressed: it keeps the focus and tells the reason, in place of standing there mute. */

import { useId, type ReactElement, type ReactNode } from "react";
import { useSession } from "../session/session";
import { toast } from "./toasts";

const WHO: Record<string, string> = {
  trade: "trader or admin",
  cancel: "trader, risk or admin",
  strategies: "trader, risk or admin",
  risk: "risk or admin",
  admin: "admin",
  audit: "risk or admin",
};

/** Why the person may not do what needs a right; null when she may. */
export function useRefusal(permission: string): string | null {
  const user = useSession((now) => now.user);
  if (user?.permissions.includes(permission)) return null;
  return `Your role, ${user?.role ?? "none"}, may not do this. Ask somebody with the role ${WHO[permission] ?? "admin"}.`;
}

export function Action({
  children,
  onClick,
  refusal = null,
  className = "",
  label,
}: {
  children: ReactNode;
  onClick: () => void;
  /** Why it cannot be done now. */
  refusal?: string | null;
  className?: string;
  /** For those who do not see what stands around the button. */
  label?: string;
}): ReactElement {
  const reason = useId();
  return (
    <>
      <button
        type="button"
        className={className}
        {...(label ? { "aria-label": label } : {})}
        {...(refusal ? { "aria-disabled": true, "aria-describedby": reason, title: refusal } : {})}
        onClick={() => (refusal ? toast(refusal) : onClick())}
      >
        {children}
      </button>
      {refusal ? (
        <span id={reason} hidden>
          {refusal}
        </span>
      ) : null}
    </>
  );
}
