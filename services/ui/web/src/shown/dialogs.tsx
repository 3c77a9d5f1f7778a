/**
 * Dialogs, on the browser's own: it holds the focus, makes the rest inert and closes on Escape. (Radix's modal dialog puts a
 * <style> element into the page, which the page's policy refuses.)
 */

import { useEffect, useId, useRef, useState, type ReactElement, type ReactNode } from "react";
import { ErrorNote } from "./notes";

export function Dialog({
  title,
  open,
  onClose,
  wide = false,
  children,
}: {
  title: string;
  open: boolean;
  onClose: () => void;
  wide?: boolean;
  children: ReactNode;
}): ReactElement | null {
  return open ? (
    <OpenDialog title={title} onClose={onClose} wide={wide}>
      {children}
    </OpenDialog>
  ) : null;
}

function OpenDialog({
  title,
  onClose,
  wide,
  children,
}: {
  title: string;
  onClose: () => void;
  wide: boolean;
  children: ReactNode;
}): ReactElement {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    if (dialog && !dialog.open) {
      dialog.showModal();
      // Not on the cross that closes it, where the browser puts it.
      dialog.querySelector<HTMLElement>("input, select, textarea, header ~ * button, header ~ * a")?.focus();
    }
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      className={wide ? "wide" : ""}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={heading}>{title}</h2>
        <button type="button" className="plain" aria-label="Close" onClick={onClose}>
          {"\u00D7"}
        </button>
      </header>
      {children}
    </dialog>
  );
}

export interface ConfirmProps {
  title: string;
  open: boolean;
  onClose: () => void;
  /** What the last button says: a verb and its object, such as "Halt firm". */
  action: string;
  /** Does it; what it throws is shown, and the dialog stays. */
  onConfirm: (why: string) => Promise<void>;
  danger?: boolean;
  /** Two steps: fill in, then look once more and confirm. */
  steps?: 1 | 2;
  /** Whether a reason must be given; it stands in the audit table. */
  reason?: "required" | "optional" | "none";
  /** What else must be filled in before one can go on. */
  isReady?: boolean;
  /** Fields and explanations of the first step. */
  children?: ReactNode;
  /** What the second step says will happen. */
  review?: ReactNode;
}

const LEAST_REASON = 3;

export function ConfirmDialog(props: ConfirmProps): ReactElement {
  return (
    <Dialog title={props.title} open={props.open} onClose={props.onClose}>
      <ConfirmForm {...props} />
    </Dialog>
  );
}

function ConfirmForm(props: ConfirmProps): ReactElement {
  const { danger = false, steps = 1, reason = "required", isReady = true } = props;
  const [why, setWhy] = useState("");
  const [step, setStep] = useState<1 | 2>(1);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const isFilled = isReady && (reason !== "required" || why.trim().length >= LEAST_REASON);
  const isLast = step === steps;
  const confirm = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await props.onConfirm(why.trim());
      props.onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <form
      className="confirm"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isFilled || isBusy) return;
        if (isLast) void confirm();
        else setStep(2);
      }}
    >
      {step === 1 ? props.children : <div className="review">{props.review}</div>}
      {step === 1 && reason !== "none" ? (
        <ReasonField why={why} onChange={setWhy} isRequired={reason === "required"} />
      ) : null}
      {step === 2 && why.trim() ? <p className="soft">Reason: {why.trim()}</p> : null}
      <ErrorNote error={error} />
      <div className="dialog-actions">
        {steps === 2 ? (
          <span className="step-count">
            Step {step} of {steps}
          </span>
        ) : null}
        <button type="button" onClick={() => (step === 2 ? setStep(1) : props.onClose())}>
          {step === 2 ? "Back" : "Leave it"}
        </button>
        <button type="submit" className={danger ? "danger" : "primary"} disabled={!isFilled || isBusy}>
          {isLast ? props.action : "Continue"}
        </button>
      </div>
    </form>
  );
}

function ReasonField({
  why,
  onChange,
  isRequired,
}: {
  why: string;
  onChange: (why: string) => void;
  isRequired: boolean;
}): ReactElement {
  return (
    <label className="field">
      <span>
        Why{" "}
        <span className="soft">
          {isRequired ? "stands in the audit table" : "(may be left out) stands in the audit table"}
        </span>
      </span>
      <input
        value={why}
        maxLength={200}
        autoComplete="off"
        required={isRequired}
        onChange={(event) => onChange(event.target.value)}
      />
    </label>
  );
}
