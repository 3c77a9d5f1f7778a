/** All keys that work now. */

import type { ReactElement } from "react";
import { Dialog } from "../shown/dialogs";
import { useBoundKeys } from "./keys";

const NAMES: Record<string, string> = {
  ArrowUp: "\u2191",
  ArrowDown: "\u2193",
  ArrowLeft: "\u2190",
  ArrowRight: "\u2192",
  Escape: "Esc",
  " ": "Space",
};

export function HelpDialog({ open, onClose }: { open: boolean; onClose: () => void }): ReactElement {
  const groups = useBoundKeys();
  return (
    <Dialog title="Keys" open={open} onClose={onClose} wide>
      <div className="help">
        {groups.map((group) => (
          <section key={group.title} aria-label={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.bindings.map((binding) => (
                <div key={binding.keys}>
                  <dt>
                    {binding.keys.split(" ").map((key, index) => (
                      <kbd key={index}>{NAMES[key] ?? key}</kbd>
                    ))}
                  </dt>
                  <dd>{binding.about}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <section aria-label="Tables">
          <h3>In tables</h3>
          <dl>
            <div>
              <dt>
                <kbd>{"\u2191"}</kbd>
                <kbd>{"\u2193"}</kbd>
              </dt>
              <dd>Row by row; Page Up, Page Down, Home, End further</dd>
            </div>
            <div>
              <dt>
                <kbd>Enter</kbd>
              </dt>
              <dd>Open the row</dd>
            </div>
          </dl>
        </section>
      </div>
      <p className="soft attribution">
        Charts: TradingView Lightweight Charts{"\u2122"}, Copyright (c) 2025 TradingView, Inc.{" "}
        <a href="https://www.tradingview.com/" target="_blank" rel="noreferrer">
          tradingview.com
        </a>
      </p>
    </Dialog>
  );
}
