/** The shapes of the api that the page uses. Decimal numbers are text, times are nanoseconds UTC as text. */

export type Side = "BUY" | "SELL";
export type Level = [price: string, size: string];

export interface User {
  name: string;
  role: string;
  permissions: string[];
  expires_at: string | null;
}

export interface AuthState {
  setup_needed: boolean;
  user: User | null;
  oidc: { name: string; start_url: string } | null;
}

export interface Instrument {
  instrument_id: string;
  venue: string;
  symbol: string;
  base_currency: string;
  quote_currency: string;
  price_precision: number;
  size_precision: number;
  price_increment: string;
  size_increment: string;
  min_size: string;
  max_size: string;
  max_price: string;
  min_notional: string;
}

export interface Price {
  instrument_id: string;
  bid: string | null;
  bid_size: string | null;
  ask: string | null;
  ask_size: string | null;
  last: string | null;
  last_side: string | null;
  ts_event: string;
  feed: string;
  feed_detail: string;
}

export interface Book {
  instrument_id: string;
  synced: boolean;
  sequence: string;
  ts_event: string;
  bids: Level[];
  asks: Level[];
}

export interface Trade {
  trade_id: string;
  price: string;
  size: string;
  side: string;
  ts_event: string;
}

export interface Bar {
  ts: string;
  open: string;
  high: string;
  low: string;
  close: string;
  volume: string;
  trades: number;
}

export interface BarPage {
  interval: string;
  bars: Bar[];
  next_cursor: string | null;
}

export interface Order {
  client_order_id: string;
  venue_order_id: string | null;
  strategy_id: string;
  account_id: string;
  instrument_id: string;
  side: string;
  order_type: string;
  time_in_force: string;
  size: string;
  filled_size: string;
  price: string | null;
  trigger_price: string | null;
  post_only: boolean;
  reduce_only: boolean;
  status: string;
  is_closed: boolean;
  outcome: string;
  unknown_since: string | null;
  reason: string | null;
  correlation_id: string;
  ts_init: string;
  ts_last: string;
}

export interface Fill {
  trade_id: string;
  client_order_id: string;
  strategy_id: string;
  account_id: string;
  instrument_id: string;
  side: string;
  price: string;
  size: string;
  fee: string;
  fee_currency: string;
  liquidity_side: string;
  ts_event: string;
  ts_init: string;
}

export interface Position {
  account_id: string;
  strategy_id: string;
  instrument_id: string;
  signed_size: string;
  average_price: string;
  mark_price: string | null;
  realized_pnl: string;
  unrealized_pnl: string | null;
}

export interface Balance {
  account_id: string;
  currency: string;
  free: string;
  locked: string;
  total: string;
}

export interface Equity {
  account_id: string;
  strategy_id: string;
  currency: string;
  realized_pnl: string;
  unrealized_pnl: string;
  fees: string;
  net_pnl: string;
  ts_event: string;
}

export interface EquityPoint {
  strategy_id: string;
  ts_event: string;
  net_pnl: string;
}

export interface TradingState {
  scope: string;
  state: string;
  actor: string;
  why: string;
  ts_event: string;
}

export interface KillSwitch {
  kill_id: number;
  scope: string;
  stage: string;
  flatten: boolean;
  reason: string;
  engaged_by: string;
  engaged_why: string;
  engaged_at: string;
  stage_at: string;
  proven_at: string | null;
  positions: string[];
  dust: string[];
  balances: string[];
  released_by: string | null;
  released_why: string | null;
  released_at: string | null;
  forced: boolean;
}

export interface Service {
  name: string;
  kind: string;
  state: string;
  ready: boolean;
  reason: string;
  since: string;
  restarts: number;
}

export interface Health {
  ready: boolean;
  destination: string;
  version: string;
  services: Service[];
}

export interface Counters {
  market_records: number;
  order_events: number;
}

export interface Alert {
  alert_id: string;
  name: string;
  severity: string;
  summary: string;
  subject: string;
  page: string;
  state: string;
  first_at: string;
  last_at: string;
  count: number;
  acknowledged_by: string | null;
  resolved_at: string | null;
}

export interface Taken {
  event_id: string;
  correlation_id: string;
  client_order_id?: string;
  scope?: string;
}

export interface LimitUse {
  scope: string;
  name: string;
  used: string;
  would_use: string;
  limit: string;
}

export interface OrderPreview {
  accepted: boolean;
  problems: string[];
  notional: string | null;
  fee_estimate: string | null;
  fee_currency: string | null;
  price_used: string | null;
  limits: LimitUse[];
  trading_state: string;
  balance_after: unknown;
}

/** Our time in ms, price, size, side, strategy. */
export type Mark = [at: number, price: string, size: string, side: string, strategy: string];
/** Our time in ms and the middle of best bid and ask. */
export type ChartPoint = [at: number, mid: string];

export interface PortfolioRow {
  key: string;
  positions: number;
  net_pnl: string;
  realized_pnl: string;
  unrealized_pnl: string | null;
  fees: string;
  exposure: string | null;
}

export interface Portfolio {
  rows: PortfolioRow[];
  total: PortfolioRow;
}

export interface ReconciliationRow {
  currency: string;
  books: string | null;
  account: string | null;
  venue: string | null;
  difference: string | null;
}

export interface Reconciliation {
  at: string | null;
  rows: ReconciliationRow[];
  orders_differing: unknown;
}

export interface DrawdownPoint {
  ts: string;
  equity: string;
  peak: string;
  drawdown: string;
}

export interface Drawdown {
  rows: DrawdownPoint[];
  max_drawdown: string;
}
