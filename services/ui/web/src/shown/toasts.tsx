/** Short messages of what came of something. The last five; each goes by itself, bad ones later. */

import type { ReactElement } from "react";
import { create } from "zustand";

type Tone = "calm" | "good" | "bad";

interface Toast {
  id: number;
  text: string;
  tone: Tone;
}

const MOST = 5;
const SHOWN_MS = { calm: 5_000, good: 5_000, bad: 12_000 } as const;
const useToasts = create<{ toasts: Toast[] }>(() => ({ toasts: [] }));
let last = 0;

export function toast(text: string, tone: Tone = "calm"): void {
  const id = ++last;
  useToasts.setState((now) => ({ toasts: [...now.toasts, { id, text, tone }].slice(-MOST) }));
  setTimeout(() => dismiss(id), SHOWN_MS[tone]);
}

function dismiss(id: number): void {
  useToasts.setState((now) => ({ toasts: now.toasts.filter((one) => one.id !== id) }));
}

export function Toasts(): ReactElement {
  const toasts = useToasts((now) => now.toasts);
  return (
    <div className="toasts" role="status">
      {toasts.map((one) => (
        <div key={one.id} className={`toast ${one.tone}`}>
          <span>{one.text}</span>
          <button type="button" className="plain" aria-label="Dismiss" onClick={() => dismiss(one.id)}>
            {"\u00D7"}
          </button>
        </div>
      ))}
    </div>
  );
}
