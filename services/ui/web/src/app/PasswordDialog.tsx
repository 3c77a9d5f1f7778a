/** Changing one's own password. */

import { useState, type ReactElement } from "react";
import { send } from "../api/client";
import { Dialog } from "../shown/dialogs";
import { ErrorNote } from "../shown/notes";
import { toast } from "../shown/toasts";

export function PasswordDialog({ open, onClose }: { open: boolean; onClose: () => void }): ReactElement {
  return (
    <Dialog title="Change password" open={open} onClose={onClose}>
      <PasswordForm onClose={onClose} />
    </Dialog>
  );
}

function PasswordForm({ onClose }: { onClose: () => void }): ReactElement {
  const [current, setCurrent] = useState("");
  const [wanted, setWanted] = useState("");
  const [error, setError] = useState<unknown>(null);
  const change = async (): Promise<void> => {
    try {
      await send("POST", "/auth/password", { current, new: wanted });
      toast("The password is changed.", "good");
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void change();
      }}
    >
      <label className="field">
        <span>Present password</span>
        <input
          type="password"
          autoComplete="current-password"
          required
          value={current}
          onChange={(event) => setCurrent(event.target.value)}
        />
      </label>
      <label className="field">
        <span>New password</span>
        <input
          type="password"
          autoComplete="new-password"
          required
          value={wanted}
          onChange={(event) => setWanted(event.target.value)}
        />
      </label>
      <ErrorNote error={error} />
      <div className="dialog-actions">
        <button type="button" onClick={onClose}>
          Leave it
        </button>
        <button type="submit" className="primary">
          Change it
        </button>
      </div>
    </form>
  );
}
