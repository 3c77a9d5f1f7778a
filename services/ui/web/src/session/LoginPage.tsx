/** What stands before the platform: login, the hint at the first start, and an api that does not answer. */

import { useEffect, useState, type ReactElement, type ReactNode } from "react";
import { ErrorNote } from "../shown/notes";
import { session, useSession } from "./session";

export function Gateway({ title, children }: { title: string; children: ReactNode }): ReactElement {
  return (
    <main className="gate">
      <img src="/icon.svg" alt="" width="40" height="40" />
      <h1>{title}</h1>
      {children}
    </main>
  );
}

export function LoginPage(): ReactElement {
  const notice = useSession((now) => now.notice);
  const oidc = useSession((now) => now.oidc);
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const login = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await session.login(name.trim(), password);
    } catch (problem) {
      setError(problem);
      setPassword("");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Gateway title="Log in to Tradewind">
      {notice ? <p className="notice warn">{notice}</p> : null}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void login();
        }}
      >
        <label className="field">
          <span>Name</span>
          <input
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            required
            maxLength={64}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <label className="field">
          <span>Password</span>
          <input
            name="password"
            type="password"
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </label>
        <ErrorNote error={error} />
        <button type="submit" className="primary wide" disabled={isBusy}>
          {isBusy ? "Logging in" : "Log in"}
        </button>
      </form>
      {oidc ? (
        <a className="button wide" href={oidc.start_url}>
          Log in with {oidc.name}
        </a>
      ) : null}
    </Gateway>
  );
}

export function SetupPage(): ReactElement {
  return (
    <Gateway title="This platform is new">
      <p>
        Nobody may use it yet. When it started, it printed a one-time link for the first administrator: open that link
        in this browser.
      </p>
      <p className="soft">
        It stands once in the output of the api service. It is valid for a day; after that, start the platform again for
        a new one.
      </p>
      <button type="button" className="primary wide" onClick={() => void session.look()}>
        I have used it
      </button>
    </Gateway>
  );
}

const AGAIN_MS = 3_000;

export function UnreachablePage(): ReactElement {
  useEffect(() => {
    const timer = setInterval(() => void session.look(), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <Gateway title="The platform does not answer">
      <p role="status">The api service is away or still starting. This page asks again every {AGAIN_MS / 1_000} s.</p>
      <button type="button" className="primary wide" onClick={() => void session.look()}>
        Ask now
      </button>
    </Gateway>
  );
}
