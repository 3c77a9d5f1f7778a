/**
 * Decimal text, exact. Prices, sizes and money come as text and go back as text; a JavaScript number is made only to draw,
 * never to reckon. A value is a mantissa and how many of its digits are decimals.
 */

export interface Decimal {
  readonly mantissa: bigint;
  readonly scale: number;
}

const PATTERN = /^-?(\d+)(?:\.(\d*))?$/;

/** The value of a text such as "61837.63", or null when it is none. */
export function parse(text: string): Decimal | null {
  const trimmed = text.trim();
  const match = PATTERN.exec(trimmed.startsWith(".") ? `0${trimmed}` : trimmed);
  if (!match || trimmed === ".") return null;
  const fraction = match[2] ?? "";
  const mantissa = BigInt((match[1] ?? "0") + fraction);
  return { mantissa: trimmed.startsWith("-") ? -mantissa : mantissa, scale: fraction.length };
}

/** As parse, of a text that the platform sent. Throws when it is no number. */
export function decimal(text: string): Decimal {
  const value = parse(text);
  if (!value) throw new Error(`not a decimal number: ${text}`);
  return value;
}

export function rescale(value: Decimal, scale: number): bigint {
  if (scale < value.scale) throw new Error(`cannot write ${text(value)} with ${scale} decimals exactly`);
  return value.mantissa * 10n ** BigInt(scale - value.scale);
}

function aligned(a: Decimal, b: Decimal): [bigint, bigint, number] {
  const scale = Math.max(a.scale, b.scale);
  return [rescale(a, scale), rescale(b, scale), scale];
}

export function add(a: Decimal, b: Decimal): Decimal {
  const [left, right, scale] = aligned(a, b);
  return { mantissa: left + right, scale };
}

export function subtract(a: Decimal, b: Decimal): Decimal {
  return add(a, { mantissa: -b.mantissa, scale: b.scale });
}

export function multiply(a: Decimal, b: Decimal): Decimal {
  return { mantissa: a.mantissa * b.mantissa, scale: a.scale + b.scale };
}

/** Less than 0, 0 or more than 0, as a - b. */
export function compare(a: Decimal, b: Decimal): number {
  const [left, right] = aligned(a, b);
  return left < right ? -1 : left > right ? 1 : 0;
}

export function sum(values: Iterable<string>): Decimal {
  let total: Decimal = { mantissa: 0n, scale: 0 };
  for (const value of values) total = add(total, decimal(value));
  return total;
}

/** Plain text with all decimals that the scale has. */
export function text(value: Decimal): string {
  const negative = value.mantissa < 0n;
  const digits = (negative ? -value.mantissa : value.mantissa).toString().padStart(value.scale + 1, "0");
  const whole = digits.slice(0, digits.length - value.scale);
  const fraction = value.scale ? `.${digits.slice(-value.scale)}` : "";
  return `${negative ? "-" : ""}${whole}${fraction}`;
}

/** How many decimals a step such as "0.00001000" really has. */
export function decimalsOf(step: string): number {
  return (step.split(".")[1] ?? "").replace(/0+$/, "").length;
}

/** Whether a value is a whole number of steps. */
export function isOnStep(value: Decimal, step: Decimal): boolean {
  const [left, right] = aligned(value, step);
  return right === 0n || left % right === 0n;
}

/** The nearest whole number of steps towards zero. */
export function floorToStep(value: Decimal, step: Decimal): Decimal {
  const [left, right, scale] = aligned(value, step);
  return { mantissa: right === 0n ? left : (left / right) * right, scale };
}

/** a / b, cut to whole steps. b must not be zero. */
export function divideToStep(a: Decimal, b: Decimal, step: Decimal): Decimal {
  const scale = a.scale + step.scale;
  const quotient = (a.mantissa * 10n ** BigInt(b.scale + step.scale)) / b.mantissa;
  return floorToStep({ mantissa: quotient, scale }, step);
}

/** A value moved by whole steps; one that is between two steps goes to the next of them first. Never below one step. */
export function moveBySteps(value: Decimal, step: Decimal, steps: number): Decimal {
  const [left, right, scale] = aligned(value, step);
  if (right === 0n) return value;
  const rest = ((left % right) + right) % right;
  const start = rest === 0n ? left : steps > 0 ? left - rest : left - rest + right;
  const moved = start + right * BigInt(steps);
  return { mantissa: moved < right ? right : moved, scale };
}

/** Cut or filled up to a number of decimals: for what is on a step of so many decimals nothing is lost. */
export function fixed(value: Decimal, decimals: number): string {
  if (decimals >= value.scale) return text({ mantissa: rescale(value, decimals), scale: decimals });
  return text({ mantissa: value.mantissa / 10n ** BigInt(value.scale - decimals), scale: decimals });
}

/** Rounded half away from zero: for amounts that are shown, not sent. */
export function rounded(value: Decimal, decimals: number): Decimal {
  if (decimals >= value.scale) return { mantissa: rescale(value, decimals), scale: decimals };
  const unit = 10n ** BigInt(value.scale - decimals);
  const half = value.mantissa < 0n ? -(unit / 2n) : unit / 2n;
  return { mantissa: (value.mantissa + half) / unit, scale: decimals };
}

/** For drawing and for sorting only. */
export function approximate(value: string | null | undefined): number {
  return value === null || value === undefined ? Number.NaN : Number(value);
}
