/**
 * The shapes of the api that the page uses, out of what openapi-typescript makes of the api's own description (`npm run api`).
 * Decimal numbers are text, times are nanoseconds UTC as text. Written by hand is what only the stream tells.
 */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Side = "BUY" | "SELL";
export type Level = [price: string, size: string];

export type User = Schemas["MeView"];

export type AuthState = Schemas["AuthStateView"];

export type Instrument = Schemas["InstrumentView"];

export type Price = Schemas["PriceView"];

export type Book = Schemas["BookView"];

export type Trade = Schemas["TradeView"];

export type Bar = Schemas["BarView"];

export type BarPage = Schemas["BarPage"];

export type Order = Schemas["OrderView"];

export type Fill = Schemas["FillView"];

export type Position = Schemas["PositionView"];

export type Balance = Schemas["BalanceView"];

export type Equity = Schemas["EquityView"];

export type EquityPoint = Schemas["EquityPointView"];

export type TradingState = Schemas["TradingStateView"];

export type KillSwitch = Schemas["KillSwitchView"];

export type Service = Schemas["ServiceView"];

export type Health = Schemas["HealthView"];

export interface Counters {
  market_records: number;
  order_events: number;
}

export type Alert = Schemas["AlertView"];

export type Taken = Schemas["Taken"];

export type OrderPreview = Schemas["PreviewView"];

/** Our time in ms, price, size, side, strategy. */
export type Mark = [at: number, price: string, size: string, side: string, strategy: string];
/** Our time in ms and the middle of best bid and ask. */
export type ChartPoint = [at: number, mid: string];

export type PortfolioRow = Schemas["ResultView"];

export type Portfolio = Schemas["ResultPage"];

export type ReconciliationRow = Schemas["BooksRow"];

export type Reconciliation = Schemas["BooksPage"];

export type DrawdownPoint = Schemas["DrawdownPoint"];

export type Drawdown = Schemas["DrawdownPage"];
