/** What stands where there is nothing, where something failed, and where something is on its way. */

import type { ReactElement, ReactNode } from "react";
import { ApiProblem } from "../api/client";

export function EmptyState({ title, children }: { title: string; children?: ReactNode }): ReactElement {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children ? <p>{children}</p> : null}
    </div>
  );
}

/** What went wrong, in the platform's words, and what can be done. */
export function ErrorNote({ error, onAgain }: { error: unknown; onAgain?: () => void }): ReactElement | null {
  if (!error) return null;
  return (
    <div className="error-note" role="alert">
      <p>{error instanceof Error ? error.message : "It failed, and nobody said why."}</p>
      {advice(error)}
      {onAgain ? (
        <button type="button" onClick={onAgain}>
          Try again
        </button>
      ) : null}
    </div>
  );
}

function advice(error: unknown): ReactElement | null {
  if (!(error instanceof ApiProblem)) return null;
  if (error.status === 503) return <p className="soft">Live data goes on. Look under System at what is away.</p>;
  if (error.status === 429 && error.retryAfterS) return <p className="soft">Try again in {error.retryAfterS} s.</p>;
  if (error.status === 401) return <p className="soft">Log in again.</p>;
  return null;
}

export function Skeleton({ lines = 4 }: { lines?: number }): ReactElement {
  return (
    <div className="skeleton" aria-busy="true" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => (
        <span key={index} />
      ))}
    </div>
  );
}

export function Panel({
  title,
  note,
  actions,
  className = "",
  children,
}: {
  title: string;
  note?: ReactNode;
  actions?: ReactNode;
  className?: string;
  children: ReactNode;
}): ReactElement {
  return (
    <section className={`panel ${className}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {note ? <div className="note">{note}</div> : null}
        {actions ? <div className="panel-actions">{actions}</div> : null}
      </header>
      <div className="panel-body">{children}</div>
    </section>
  );
}
