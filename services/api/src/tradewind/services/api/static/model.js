// What the page knows: the snapshot, kept up to date by deltas. It draws nothing.

const MAX_TRADES = 60;
const MAX_POINTS = 1200;
const MAX_ORDERS = 700;
/** As many as a snapshot has, so that a page that was just opened and an old one say the same. */
export const MAX_FILLS = 300;
const MAX_MARKS = 2000;
const MAX_CURVE = 600;

export class Model {
  constructor() {
    this.selected = null;
    this.reset();
  }

  reset() {
    this.instruments = new Map();
    this.prices = new Map();
    this.book = null;
    this.trades = [];
    this.chart = [];
    this.marks = [];
    this.orders = new Map();
    this.fills = [];
    this.positions = [];
    this.balances = [];
    this.equity = [];
    this.curves = new Map();
    this.states = [];
    this.health = null;
    this.rate = null;
    this.counted = null;
  }

  /** Take one message's data. Answers the names of the parts that changed. */
  take(data, isSnapshot) {
    if (isSnapshot) this.reset();
    for (const one of data.instruments || []) this.instruments.set(one.instrument_id, one);
    for (const one of data.prices || []) this.prices.set(one.instrument_id, one);
    if (data.book) this.book = data.book;
    if (data.trades) this.trades = [...data.trades.reverse(), ...this.trades].slice(0, MAX_TRADES);
    if (data.chart) this.chart = this.chart.concat(data.chart.map(([at, mid]) => [at, Number(mid)])).slice(-MAX_POINTS);
    if (data.marks) this.takeMarks(data.marks);
    if (data.orders) this.takeOrders(data.orders);
    if (data.fills) this.takeFills(data.fills);
    for (const name of ["positions", "balances", "equity", "health"]) if (data[name]) this[name] = data[name];
    if (data.trading_states) this.states = data.trading_states;
    for (const point of data.equity_points || []) this.takePoint(point);
    if (data.counters) this.takeCounters(data.counters);
    return isSnapshot ? null : new Set(Object.keys(data));
  }

  takeOrders(orders) {
    for (const order of orders) this.orders.set(order.client_order_id, order);
    if (this.orders.size <= MAX_ORDERS) return;
    const closed = [...this.orders.values()].filter((order) => !isUnfinished(order)).sort(byTime("ts_last"));
    for (const order of closed.slice(0, this.orders.size - MAX_ORDERS)) this.orders.delete(order.client_order_id);
  }

  takeFills(fills) {
    this.fills = this.fills.concat(fills).sort(byTime("ts_init")).slice(-MAX_FILLS);
  }

  takeMarks(marks) {
    const made = marks.map(([at, price, size, side, strategy]) => ({ at, price: Number(price), size, side, strategy }));
    this.marks = this.marks.concat(made).slice(-MAX_MARKS);
  }

  takePoint(point) {
    const curve = this.curves.get(point.strategy_id) || [];
    curve.push(Number(point.net_pnl));
    if (curve.length > MAX_CURVE) curve.shift();
    this.curves.set(point.strategy_id, curve);
  }

  takeCounters(counters) {
    const now = performance.now();
    const before = this.counted;
    this.counted = { at: now, records: counters.market_records };
    if (before && now > before.at) this.rate = ((counters.market_records - before.records) * 1000) / (now - before.at);
  }

  openOrders() {
    return [...this.orders.values()].filter(isUnfinished).sort((a, b) => rank(b) - rank(a) || byTime("ts_init")(b, a));
  }

  recentOrders() {
    return [...this.orders.values()].sort(byTime("ts_last")).reverse().slice(0, 200);
  }

  /** The trading state of the whole firm; a scope that nobody named is ACTIVE. */
  stateOf(scope) {
    return this.states.find((one) => one.scope === scope)?.state || "ACTIVE";
  }
}

export const isUnfinished = (order) => !order.is_closed || order.outcome === "UNKNOWN";

const rank = (order) => (order.outcome === "UNKNOWN" ? 1 : 0);

// Nanosecond strings of one length compare as text, which loses no digit.
const byTime = (field) => (a, b) => a[field].length - b[field].length || (a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : 0);
