/** Whose drawing the charts are: their licence asks for it. Stands in the corner that the two axes leave free. */

import type { ReactElement } from "react";

export function Attribution(): ReactElement {
  return (
    <a
      className="attribution"
      href="https://www.tradingview.com/"
      target="_blank"
      rel="noreferrer"
      title="Charts by TradingView"
      aria-label="Charts by TradingView"
    >
      TradingView
    </a>
  );
}
