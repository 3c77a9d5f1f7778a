/** A secret that is shown once: a one-time link, an api token. */

import { useRef, useState, type ReactElement } from "react";
import { Dialog } from "../../shown/dialogs";

export function OnceShown({
  title,
  secret,
  children,
  onClose,
}: {
  title: string;
  secret: string;
  children: React.ReactNode;
  onClose: () => void;
}): ReactElement {
  const field = useRef<HTMLInputElement>(null);
  const [said, setSaid] = useState("");
  const copy = async (): Promise<void> => {
    field.current?.select();
    try {
      await navigator.clipboard.writeText(secret);
      setSaid("Copied.");
    } catch {
      setSaid("The browser does not allow it here; it is marked: press Ctrl+C.");
    }
  };
  return (
    <Dialog title={title} open onClose={onClose}>
      {children}
      <label className="field">
        <span>Shown only now</span>
        <input ref={field} className="secret" readOnly value={secret} onFocus={(event) => event.target.select()} />
      </label>
      <p className="soft" role="status">
        {said}
      </p>
      <div className="dialog-actions">
        <button type="button" onClick={() => void copy()}>
          Copy
        </button>
        <button type="button" className="primary" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
