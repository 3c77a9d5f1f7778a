/** What a person chose for this browser: theme, time zone of times, sizes. */

import { create } from "zustand";
import type { Zone } from "../money/format";

export type Theme = "system" | "dark" | "light";

interface Preferences {
  theme: Theme;
  zone: Zone;
  /** Of a candle; empty until somebody has chosen one. */
  interval: string;
  /** Whose fills are drawn on the candles. */
  fills: "all" | "manual" | "none";
}

const KEY = "tradewind-preferences";
const DEFAULTS: Preferences = { theme: "system", zone: "local", interval: "", fills: "all" };

export const usePreferences = create<Preferences>(() => ({ ...DEFAULTS, ...stored() }));

function stored(): Partial<Preferences> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>;
  } catch {
    return {};
  }
}

export function prefer(change: Partial<Preferences>): void {
  usePreferences.setState(change);
  localStorage.setItem(KEY, JSON.stringify(usePreferences.getState()));
}

/** Put the theme on the document; without one it follows the system. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

/** Call `listener` whenever the colours in use may have changed. */
export function onColours(listener: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", listener);
  const stop = usePreferences.subscribe((now, before) => {
    if (now.theme !== before.theme) listener();
  });
  return () => {
    system.removeEventListener("change", listener);
    stop();
  };
}
