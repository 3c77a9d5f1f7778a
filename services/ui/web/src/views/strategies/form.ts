/** A settings struct's JSON Schema as fields of a form: what each takes, in which unit, within which bounds. */

import { compare, parse } from "../../money/decimal";
import { words } from "../../money/format";
import type { Value } from "./types";

export interface Schema {
  title?: string;
  description?: string;
  properties?: Record<string, FieldSchema>;
}

export interface FieldSchema {
  title?: string;
  description?: string;
  unit?: string;
  type?: string;
  format?: string;
  enum?: Value[];
  anyOf?: FieldSchema[];
  default?: Value;
  minimum?: number | string;
  maximum?: number | string;
  exclusiveMinimum?: number | string;
  exclusiveMaximum?: number | string;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
}

export type Kind = "text" | "integer" | "number" | "decimal" | "boolean" | "choice";

export interface Field {
  name: string;
  title: string;
  help: string;
  unit: string;
  kind: Kind;
  /** Empty means null. */
  isNullable: boolean;
  choices: readonly Value[];
  standard: Value | undefined;
  schema: FieldSchema;
}

export function fieldsOf(schema: Schema): Field[] {
  return Object.entries(schema.properties ?? {}).map(([name, outer]) => {
    const isNullable = outer.anyOf?.some((one) => one.type === "null") ?? false;
    const inner = { ...outer, ...outer.anyOf?.find((one) => one.type !== "null") };
    return {
      name,
      title: outer.title ?? words(name),
      help: outer.description ?? "",
      unit: outer.unit ?? inner.unit ?? "",
      kind: kindOf(inner),
      isNullable,
      choices: inner.enum ?? [],
      standard: outer.default,
      schema: inner,
    };
  });
}

function kindOf(schema: FieldSchema): Kind {
  if (schema.enum) return "choice";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer") return "integer";
  if (schema.type === "number") return "number";
  return schema.format === "decimal" ? "decimal" : "text";
}

/** A value as it stands in a field. */
export function textOf(value: Value | undefined): string {
  return value === null || value === undefined ? "" : String(value);
}

/** What a field's text stands for; to be asked only when nothing is wrong with it. */
export function valueOf(field: Field, text: string): Value {
  if (text === "" && field.isNullable) return null;
  if (field.kind === "boolean") return text === "true";
  if (field.kind === "integer" || field.kind === "number") return Number(text.trim());
  if (field.kind === "choice") return field.choices.find((one) => String(one) === text) ?? text;
  return field.kind === "decimal" ? text.trim() : text;
}

const BOUNDS = [
  ["minimum", "at least", (order: number) => order >= 0],
  ["maximum", "at most", (order: number) => order <= 0],
  ["exclusiveMinimum", "more than", (order: number) => order > 0],
  ["exclusiveMaximum", "less than", (order: number) => order < 0],
] as const;

/** What is wrong with a field's text, in a sentence; null when nothing is. */
export function problemOf(field: Field, text: string): string | null {
  if (text === "" && field.isNullable) return null;
  if (field.kind === "boolean" || field.kind === "choice") return null;
  return field.kind === "text" ? textProblem(field, text) : numberProblem(field, text);
}

function numberProblem(field: Field, text: string): string | null {
  const value = parse(plain(text));
  if (!value) return field.kind === "integer" ? "It takes a whole number." : "It takes a number such as 0.25.";
  if (field.kind === "integer" && value.scale > 0) return "It takes a whole number.";
  for (const [name, phrase, holds] of BOUNDS) {
    const bound = field.schema[name];
    const limit = bound === undefined ? null : parse(plain(String(bound)));
    if (limit && !holds(compare(value, limit))) return `It must be ${phrase} ${String(bound)}${unitText(field)}.`;
  }
  return null;
}

/** A number that JavaScript wrote with an exponent, without it. */
function plain(text: string): string {
  return /^-?[\d.]+e[+-]?\d+$/i.test(text.trim())
    ? Number(text)
        .toFixed(12)
        .replace(/\.?0+$/, "")
    : text;
}

function textProblem(field: Field, text: string): string | null {
  const { minLength = 0, maxLength, pattern } = field.schema;
  if (text.length < minLength)
    return minLength === 1 ? "It must not be empty." : `It takes at least ${minLength} characters.`;
  if (maxLength !== undefined && text.length > maxLength) return `It takes at most ${maxLength} characters.`;
  if (!pattern) return null;
  return new RegExp(pattern).test(text) ? null : `It must look like ${pattern}.`;
}

function unitText(field: Field): string {
  return field.unit ? ` ${field.unit}` : "";
}

/** "0.1 to 10 000 1/s, standard 20": what stands under a field. */
export function boundsText(field: Field): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = field.schema;
  const least =
    minimum !== undefined
      ? `from ${String(minimum)}`
      : exclusiveMinimum !== undefined
        ? `more than ${String(exclusiveMinimum)}`
        : "";
  const most =
    maximum !== undefined
      ? `to ${String(maximum)}`
      : exclusiveMaximum !== undefined
        ? `less than ${String(exclusiveMaximum)}`
        : "";
  const standard = field.standard === undefined ? "" : `standard ${textOf(field.standard) || "empty"}`;
  return [[least, most].filter(Boolean).join(" "), standard].filter(Boolean).join(", ");
}

/** Which texts say something else than the values that are stored. */
export function changedNames(
  fields: readonly Field[],
  texts: Readonly<Record<string, string>>,
  stored: Readonly<Record<string, Value>>,
): string[] {
  return fields.filter((field) => (texts[field.name] ?? "") !== textOf(stored[field.name])).map((field) => field.name);
}
