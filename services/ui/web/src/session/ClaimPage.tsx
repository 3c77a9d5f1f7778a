/** A one-time link: the first administrator, an invitation, or a new password. */

import { useState, type ReactElement } from "react";
import { ErrorNote } from "../shown/notes";
import { Gateway } from "./LoginPage";
import { session } from "./session";

export function ClaimPage({ token, isFirst }: { token: string; isFirst: boolean }): ReactElement {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const claim = async (): Promise<void> => {
    if (password !== again) {
      setError(new Error("The two passwords differ. Write the same one twice."));
      return;
    }
    setBusy(true);
    try {
      await session.claim(token, isFirst ? name.trim() : undefined, password);
      // The link is spent; it must not stay in the browser's history.
      location.replace("#/market");
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <Gateway title={isFirst ? "Make the first administrator" : "Choose your password"}>
      <p className="soft">This link works once.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void claim();
        }}
      >
        {isFirst ? (
          <label className="field">
            <span>Your name, in small letters</span>
            <input
              autoComplete="username"
              autoCapitalize="none"
              required
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          </label>
        ) : null}
        <label className="field">
          <span>Password, at least 12 characters</span>
          <input
            type="password"
            autoComplete="new-password"
            minLength={12}
            required
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </label>
        <label className="field">
          <span>The same again</span>
          <input
            type="password"
            autoComplete="new-password"
            required
            value={again}
            onChange={(event) => setAgain(event.target.value)}
          />
        </label>
        <ErrorNote error={error} />
        <button type="submit" className="primary wide" disabled={isBusy}>
          {isFirst ? "Make it and log in" : "Set it and log in"}
        </button>
      </form>
    </Gateway>
  );
}
