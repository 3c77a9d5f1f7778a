// Text from the decimal strings and nanosecond strings of the api. Numbers are made only to draw and to compare.

export const milliseconds = (ns) => Number(ns) / 1e6;

/** How many decimals a step such as "0.00001000" has. */
export function decimalsOf(step) {
  const decimals = (step.split(".")[1] || "").replace(/0+$/, "");
  return decimals.length;
}

/** "61737.63000000" with two decimals and thousands separators: "61,737.63". Cut, not rounded: nothing is lost on a step. */
export function decimal(text, decimals) {
  if (text === null || text === undefined) return "–";
  const negative = text.startsWith("-");
  const [whole, rest = ""] = text.replace("-", "").split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const tail = decimals ? "." + rest.padEnd(decimals, "0").slice(0, decimals) : "";
  return (negative ? "−" : "") + grouped + tail;
}

/** A profit or loss with its sign. */
export function signed(text, decimals = 2) {
  const value = decimal(text, decimals);
  return Number(text) > 0 ? "+" + value : value;
}

export const tone = (text) => (Number(text) > 0 ? "up" : Number(text) < 0 ? "down" : "soft");

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Local time of day, HH:MM:SS. */
export const time = (ns) => clock.format(new Date(milliseconds(ns)));
export const clockTime = (ms) => clock.format(new Date(ms));

/** How long ago: "4 s", "12 min", "3 h", "2 d". */
export function age(ns, nowMs) {
  const seconds = Math.max(0, (nowMs - milliseconds(ns)) / 1000);
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

/** "PARTIALLY_FILLED" as people write it: "Partially filled". */
export function words(name) {
  const text = (name || "").toLowerCase().replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
