/** Before and after of an audit line: what of it changed. */

export interface Part {
  name: string;
  before: string;
  after: string;
}

function fieldsOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function textOf(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Field by field where both sides are objects (one side may be missing), else as two texts. Nothing where they are alike. */
export function differenceOf(before: string, after: string): Part[] {
  const left = fieldsOf(before);
  const right = fieldsOf(after);
  if ((left ?? before === "") && (right ?? after === "") && (left ?? right)) {
    const names = [...new Set([...Object.keys(left ?? {}), ...Object.keys(right ?? {})])];
    return names
      .map((name) => ({ name, before: textOf(left?.[name]), after: textOf(right?.[name]) }))
      .filter((part) => part.before !== part.after);
  }
  return before === after ? [] : [{ name: "", before, after }];
}
