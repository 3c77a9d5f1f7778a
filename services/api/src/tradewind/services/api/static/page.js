// The page: what the model knows, put into the document. Drawn at most once a frame, and only the parts that changed.

import { Chart, sparkline } from "./chart.js";
import { age, decimal, decimalsOf, signed, time, tone, words } from "./format.js";
import { MAX_FILLS, Model, isUnfinished } from "./model.js";
import { Stream } from "./stream.js";
import { TradingSwitch, cancelOrder } from "./switch.js";
import { heads, lines, rows, setClass, setText } from "./tables.js";

const DEPTH = 20;
const LINE_HEIGHT = 17;
const FIRM = "firm";
const CANCEL_AGAIN_MS = 3000;

const by = (id) => document.getElementById(id);
const model = new Model();
const chart = new Chart(by("chart"));
const tradingSwitch = new TradingSwitch(say);
const cancels = new Map();
const sparks = new Map();
let tab = "open";
let waiting = null;

const stream = new Stream(take, showLink);

/** Parts of the page, and the parts of the model that each of them shows. */
const PARTS = [
  [showInstruments, ["instruments"]],
  [showQuote, ["prices", "instruments", "counters", "book"]],
  [showBook, ["book", "orders", "prices"]],
  [showTape, ["trades"]],
  [showChart, ["chart", "marks", "orders"]],
  [showOrders, ["orders", "fills", "counters"]],
  [showPnl, ["equity", "equity_points"]],
  [showPositions, ["positions"]],
  [showBalances, ["balances"]],
  [showStates, ["trading_states", "equity"]],
  [showHealth, ["health", "counters"]],
];

function take(data, isSnapshot) {
  const changed = model.take(data, isSnapshot);
  if (isSnapshot && data.book) model.selected = data.book.instrument_id;
  if (waiting === null) requestAnimationFrame(draw);
  waiting = changed === null || waiting?.all ? { all: true } : { names: new Set([...(waiting?.names || []), ...changed]) };
}

function draw() {
  const { all, names } = waiting;
  waiting = null;
  for (const [show, parts] of PARTS) if (all || parts.some((part) => names.has(part))) show();
}

function showLink(state, text) {
  document.body.dataset.link = state;
  setText(by("link-text"), text);
  showBanner();
}

function showBanner() {
  const link = document.body.dataset.link;
  const banner = by("banner");
  let text = "";
  if (link === "stale") text = "Stale: the platform has not been heard for some seconds. What is shown may be old.";
  if (link === "reconnecting") text = "Reconnecting: what is shown is old.";
  const halted = !text && model.stateOf(FIRM) === "HALTED";
  if (halted) {
    const state = model.states.find((one) => one.scope === FIRM);
    text = `Trading is halted by ${state.actor}: ${state.why}`;
  }
  setText(banner, text);
  banner.hidden = !text;
  banner.classList.toggle("halted", halted);
}

const instrument = () => model.instruments.get(model.selected);
const priceDecimals = (id) => decimalsOf(model.instruments.get(id)?.price_increment || "0.01");
const sizeDecimals = (id) => decimalsOf(model.instruments.get(id)?.size_increment || "0.00001");
const symbol = (id) => model.instruments.get(id)?.symbol || id;

function showInstruments() {
  const select = by("instrument");
  const ids = [...model.instruments.keys()];
  if (select.dataset.ids !== ids.join()) {
    select.dataset.ids = ids.join();
    select.replaceChildren(...ids.map((id) => new Option(`${symbol(id)} · ${model.instruments.get(id).venue}`, id)));
  }
  if (!model.selected && ids.length) model.selected = ids[0];
  if (model.selected) select.value = model.selected;
}

function midOf(price, decimals) {
  if (!price || price.bid === null || price.ask === null) return null;
  return ((Number(price.bid) + Number(price.ask)) / 2).toFixed(decimals);
}

function showQuote() {
  const price = model.prices.get(model.selected);
  const decimals = priceDecimals(model.selected);
  const mid = midOf(price, decimals);
  setText(by("mid"), decimal(mid, decimals));
  setText(by("bid"), decimal(price?.bid, decimals));
  setText(by("ask"), decimal(price?.ask, decimals));
  setText(by("spread"), mid === null ? "–" : decimal((Number(price.ask) - Number(price.bid)).toFixed(decimals), decimals));
  setText(by("feed"), words(price?.feed || "none"));
  setClass(by("feed"), price?.feed === "LIVE" ? "up" : "soft");
  by("feed").title = price?.feed_detail || "";
  setText(by("rate"), model.rate === null ? "–" : Math.round(model.rate).toLocaleString("en"));
  document.title = mid === null ? "Tradewind" : `${decimal(mid, decimals)} ${symbol(model.selected)} · Tradewind`;
}

function showBook() {
  const book = model.book;
  const known = instrument();
  if (!book || !known) return;
  const [asks, bids] = [by("asks"), by("bids")];
  const room = Math.max(4, Math.min(DEPTH, Math.floor(asks.clientHeight / LINE_HEIGHT)));
  const ours = new Set([...model.orders.values()].filter((o) => isUnfinished(o) && o.instrument_id === model.selected).map((o) => Number(o.price)));
  const askLines = ladder(book.asks.slice(0, room), ours);
  const bidLines = ladder(book.bids.slice(0, room), ours);
  const most = Math.max(...askLines.map((line) => line.total), ...bidLines.map((line) => line.total), 1e-12);
  for (const line of [...askLines, ...bidLines]) line.bar = line.total / most;
  lines(asks, "level", ["b", "span", "span", "i"], askLines.reverse());
  lines(bids, "level", ["b", "span", "span", "i"], bidLines);
  setText(by("book-note"), book.synced ? known.base_currency : "waiting for a snapshot");
  const price = model.prices.get(model.selected);
  setText(by("last"), decimal(price?.last, priceDecimals(model.selected)));
  setClass(by("last"), price?.last_side === "SELL" ? "down" : "up");
  showImbalance(book, room);
}

function ladder(levels, ours) {
  const [prices, sizes] = [priceDecimals(model.selected), sizeDecimals(model.selected)];
  let total = 0;
  return levels.map(([price, size]) => {
    total += Number(size);
    const texts = [decimal(price, prices), decimal(size, sizes), decimal(total.toFixed(sizes), sizes)];
    return { texts, total, style: ours.has(Number(price)) ? "ours" : "" };
  });
}

function showImbalance(book, room) {
  const sum = (levels) => levels.slice(0, room).reduce((total, [, size]) => total + Number(size), 0);
  const [bid, ask] = [sum(book.bids), sum(book.asks)];
  setText(by("imbalance"), bid + ask ? `${Math.round((100 * bid) / (bid + ask))}% bid` : "");
}

function showTape() {
  const [prices, sizes] = [priceDecimals(model.selected), sizeDecimals(model.selected)];
  const room = Math.floor(by("tape").clientHeight / LINE_HEIGHT) || 20;
  const shown = model.trades.slice(0, room).map((trade) => ({
    texts: [[decimal(trade.price, prices), trade.side === "BUY" ? "up" : "down"], decimal(trade.size, sizes), time(trade.ts_event)],
  }));
  lines(by("tape"), "print", ["b", "span", "span"], shown);
}

function showChart() {
  setText(by("chart-title"), model.selected ? `${symbol(model.selected)} mid price` : "Mid price");
  chart.show({
    points: model.chart,
    marks: model.marks,
    orders: model.openOrders().filter((order) => order.instrument_id === model.selected && order.price),
    decimals: priceDecimals(model.selected),
  });
}

const ORDER_HEADS = [["Time", "optional"], ["Strategy"], ["Side"], ["Type", "optional"], ["Price", "num"], ["Size", "num"], ["Filled", "num optional"], ["Status"], ["", "num"]];
const FILL_HEADS = [["Time"], ["Strategy"], ["Side"], ["Price", "num"], ["Size", "num"], ["Fee", "num optional"], ["Liquidity", "optional"], ["Order", "optional"]];

function showOrders() {
  const open = model.openOrders();
  setText(by("open-count"), String(open.length));
  setText(by("fill-count"), model.fills.length < MAX_FILLS ? String(model.fills.length) : `newest ${MAX_FILLS}`);
  const table = by("orders-table");
  if (table.dataset.tab !== tab) {
    table.dataset.tab = tab;
    heads(table, tab === "fills" ? FILL_HEADS : ORDER_HEADS);
  }
  const shown = tab === "fills" ? [...model.fills].reverse().map(fillRow) : (tab === "open" ? open : model.recentOrders()).map(orderRow);
  rows(table, shown);
  const nothing = { open: "No open orders.", recent: "No orders yet.", fills: "No fills yet." }[tab];
  setText(by("orders-empty"), shown.length ? "" : nothing);
}

const REFUSED = new Set(["DENIED", "REJECTED"]);

function orderRow(order) {
  const unknown = order.outcome === "UNKNOWN";
  const status = unknown ? `Unknown for ${age(order.unknown_since || order.ts_last, Date.now())}` : words(order.status);
  const [prices, sizes] = [priceDecimals(order.instrument_id), sizeDecimals(order.instrument_id)];
  const flags = [order.time_in_force === "GTC" ? "" : order.time_in_force, order.post_only ? "post" : ""].filter(Boolean).join(" ");
  return {
    key: order.client_order_id,
    style: unknown ? "unknown" : "",
    cells: [
      [time(order.ts_init), "soft optional"],
      order.strategy_id,
      [words(order.side), order.side === "BUY" ? "up" : "down"],
      [`${words(order.order_type)} ${flags}`.trim(), "soft optional"],
      [order.price === null ? "market" : decimal(order.price, prices), "num"],
      [decimal(order.size, sizes), "num"],
      [decimal(order.filled_size, sizes), Number(order.filled_size) ? "num optional" : "num muted optional"],
      [order.reason && order.is_closed ? `${status}: ${order.reason}` : status, unknown ? "warn" : REFUSED.has(order.status) ? "reason" : "soft"],
      isUnfinished(order) ? cancelButton(order.client_order_id) : ["", "num"],
    ],
  };
}

function cancelButton(id) {
  let button = cancels.get(id);
  if (button) return button;
  button = document.createElement("button");
  button.type = "button";
  button.textContent = "Cancel";
  button.title = `Cancel ${id}`;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await cancelOrder(id);
    } catch (error) {
      say(error.message, true);
    }
    // The row goes when the venue has cancelled; when it has not, one may ask again.
    setTimeout(() => { button.disabled = false; }, CANCEL_AGAIN_MS);
  });
  if (cancels.size > 500) cancels.clear();
  cancels.set(id, button);
  return button;
}

function fillRow(fill) {
  const [prices, sizes] = [priceDecimals(fill.instrument_id), sizeDecimals(fill.instrument_id)];
  return {
    key: fill.account_id + fill.trade_id,
    cells: [
      [time(fill.ts_init), "soft"],
      fill.strategy_id,
      [words(fill.side), fill.side === "BUY" ? "up" : "down"],
      [decimal(fill.price, prices), "num"],
      [decimal(fill.size, sizes), "num"],
      [`${fill.fee} ${fill.fee_currency}`, "num soft optional"],
      [words(fill.liquidity_side), "soft optional"],
      [fill.client_order_id, "muted optional"],
    ],
  };
}

const PNL_HEADS = [["Strategy"], ["Net", "num"], ["Realized", "num"], ["Unrealized", "num optional"], ["Fees", "num optional"], ["Curve", "num"]];

function showPnl() {
  heads(by("pnl-table"), PNL_HEADS);
  const money = (text, style = "num soft") => [signed(text), style];
  const shown = model.equity.map((one) => ({
    key: one.account_id + one.strategy_id,
    cells: [
      one.strategy_id,
      money(one.net_pnl, `num ${tone(one.net_pnl)}`),
      money(one.realized_pnl),
      money(one.unrealized_pnl, "num soft optional"),
      [decimal(one.fees, 2), "num soft optional"],
      spark(one.strategy_id),
    ],
  }));
  const sum = (field) => model.equity.reduce((total, one) => total + Number(one[field]), 0).toFixed(2);
  if (shown.length > 1) {
    const net = sum("net_pnl");
    const cells = ["All", [signed(net), `num ${tone(net)}`], money(sum("realized_pnl"), "num"), money(sum("unrealized_pnl"), "num optional"), [decimal(sum("fees"), 2), "num optional"], ""];
    shown.push({ key: "all", style: "total", cells });
  }
  rows(by("pnl-table"), shown);
  by("pnl-empty").hidden = shown.length > 0;
  const currencies = [...new Set(model.equity.map((one) => one.currency))].join(", ");
  setText(by("pnl-note"), currencies && `in ${currencies}, net of fees`);
  setText(by("total-pnl"), model.equity.length ? `${signed(sum("net_pnl"))} ${currencies}` : "–");
  setClass(by("total-pnl"), model.equity.length ? tone(sum("net_pnl")) : "soft");
}

function spark(strategy) {
  let canvas = sparks.get(strategy);
  if (!canvas) sparks.set(strategy, (canvas = document.createElement("canvas")));
  sparkline(canvas, model.curves.get(strategy) || []);
  return canvas;
}

const POSITION_HEADS = [["Strategy"], ["Instrument"], ["Size", "num"], ["Entry", "num"], ["Mark", "num optional"], ["Unrealized", "num"]];

function showPositions() {
  heads(by("positions-table"), POSITION_HEADS);
  const shown = model.positions.map((one) => {
    const flat = Number(one.signed_size) === 0;
    const prices = priceDecimals(one.instrument_id);
    return {
      key: one.account_id + one.strategy_id + one.instrument_id,
      cells: [
        one.strategy_id,
        [symbol(one.instrument_id), "soft"],
        [flat ? "flat" : decimal(one.signed_size, sizeDecimals(one.instrument_id)), `num ${flat ? "muted" : tone(one.signed_size)}`],
        [flat ? "" : decimal(one.average_price, prices), "num"],
        [flat ? "" : decimal(one.mark_price, prices), "num soft optional"],
        [flat || one.unrealized_pnl === null ? "" : signed(one.unrealized_pnl), `num ${tone(one.unrealized_pnl)}`],
      ],
    };
  });
  rows(by("positions-table"), shown);
  by("positions-empty").hidden = shown.length > 0;
}

function showBalances() {
  heads(by("balances-table"), [["Currency"], ["Free", "num"], ["Locked", "num"]]);
  const amount = (text) => decimal(text, Number(text) >= 1000 ? 2 : 6);
  const shown = model.balances.map((one) => ({
    key: one.account_id + one.currency,
    cells: [one.currency, [amount(one.free), "num"], [amount(one.locked), "num soft"]],
  }));
  rows(by("balances-table"), shown);
  by("balances-empty").hidden = shown.length > 0;
}

/** Scopes that can be halted or released from here: the firm, each strategy, each instrument, and what is halted already. */
function scopes() {
  const found = new Map([[FIRM, "everything"]]);
  for (const one of model.equity) found.set(`strategy:${one.strategy_id}`, `strategy ${one.strategy_id}`);
  for (const order of model.orders.values()) found.set(`strategy:${order.strategy_id}`, `strategy ${order.strategy_id}`);
  for (const id of model.instruments.keys()) found.set(`instrument:${id}`, symbol(id));
  for (const state of model.states) if (!found.has(state.scope)) found.set(state.scope, state.scope);
  return [...found];
}

function showStates() {
  const firm = model.stateOf(FIRM);
  setText(by("firm-state"), words(firm));
  setClass(by("firm-state"), `pill ${firm}`);
  setText(by("kill"), firm === "HALTED" ? "Release…" : "Kill switch");
  heads(by("states-table"), [["Scope"], ["State"], ["Why"], ["", "num"]]);
  const known = model.states.some((one) => one.scope === FIRM) ? model.states : [{ scope: FIRM, state: "ACTIVE", why: "", actor: "" }, ...model.states];
  const shown = known.map((one) => ({
    key: one.scope,
    cells: [
      [one.scope === FIRM ? "everything" : one.scope, `dot ${{ ACTIVE: "good", HALTED: "bad" }[one.state] || ""}`],
      [words(one.state), one.state === "HALTED" ? "down" : "soft"],
      [one.why ? `${one.why} (${one.actor})` : "", "why soft"],
      one.state === "ACTIVE" ? ["", "num"] : releaseButton(one.scope),
    ],
  }));
  rows(by("states-table"), shown);
  showBanner();
}

const releases = new Map();

function releaseButton(scope) {
  let button = releases.get(scope);
  if (button) return button;
  button = document.createElement("button");
  button.type = "button";
  button.textContent = "Release…";
  button.addEventListener("click", () => tradingSwitch.open("ACTIVE", scopes(), scope));
  releases.set(scope, button);
  return button;
}

const LAMPS = { ready: "good", stopped: "off", starting: "", "not-ready": "", restarting: "bad" };

function showHealth() {
  if (!model.health) return;
  setText(by("target"), model.health.destination);
  by("target").classList.toggle("real", model.health.destination.includes("REAL"));
  heads(by("services-table"), [["Service"], ["Kind", "optional"], ["State"], ["Reason"], ["Restarts", "num optional"], ["Since", "num optional"]]);
  const now = Date.now();
  const services = model.health.services;
  rows(by("services-table"), services.map((one) => ({
    key: one.name,
    cells: [
      [one.name, `dot ${LAMPS[one.state] ?? ""}`],
      [one.kind, "muted optional"],
      [words(one.state.replace("-", " ")), one.ready ? "soft" : "reason"],
      [one.reason, "reason wide"],
      [one.restarts ? String(one.restarts) : "", "num soft optional"],
      [age(one.since, now), "num muted optional"],
    ],
  })));
  const ready = services.filter((one) => one.ready).length;
  setText(by("services-note"), `${ready} of ${services.length} ready · version ${model.health.version}`);
}

/** A short message that goes away by itself. */
function say(text, bad = false) {
  const message = document.createElement("p");
  message.textContent = text;
  message.className = bad ? "bad" : "";
  by("toasts").append(message);
  setTimeout(() => message.remove(), bad ? 9000 : 5000);
}

function chooseTab(chosen) {
  tab = chosen;
  for (const button of by("tabs").children) button.setAttribute("aria-selected", String(button.dataset.tab === tab));
  showOrders();
}

by("instrument").addEventListener("change", (event) => {
  model.selected = event.target.value;
  stream.show(model.selected, DEPTH);
});
by("tabs").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) chooseTab(button.dataset.tab);
});
by("windows").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  chart.minutes = Number(button.dataset.minutes);
  for (const one of by("windows").children) one.setAttribute("aria-pressed", String(one === button));
  chart.draw();
});
by("kill").addEventListener("click", () => tradingSwitch.open(model.stateOf(FIRM) === "HALTED" ? "ACTIVE" : "HALTED", scopes(), FIRM));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { showChart(); showPnl(); });
addEventListener("resize", () => { showBook(); showTape(); });
