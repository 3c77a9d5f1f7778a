/** Services as a picture: who hands what to whom, from the venue on the left to what people see on the right. */

export interface Placeable {
  name: string;
  state: string;
  ready: boolean;
}

export interface Node<T extends Placeable> {
  service: T;
  column: number;
  x: number;
  y: number;
}

export interface Edge {
  from: string;
  to: string;
}

export interface Topology<T extends Placeable> {
  nodes: Node<T>[];
  edges: Edge[];
  width: number;
  height: number;
}

export const BOX = { width: 148, height: 34 } as const;
const GAP = { x: 44, y: 14 } as const;
const EDGE = 6;

const COLUMNS: readonly (readonly RegExp[])[] = [
  [/venue/],
  [/^market-data/],
  [/^strategy/],
  [/^execution/, /^risk/],
  [/^portfolio/, /^recorder/],
  [/^api/, /^ui/, /^alerts/],
];

const FLOWS: readonly (readonly [RegExp, RegExp])[] = [
  [/venue/, /^market-data/],
  [/^market-data/, /^strategy/],
  [/^strategy/, /^execution/],
  [/^risk/, /^execution/],
  [/^execution/, /^portfolio/],
  [/^execution/, /^recorder/],
  [/^portfolio/, /^api/],
  [/^recorder/, /^api/],
];

/** What is not known by its name stands last. */
function columnOf(name: string): number {
  const found = COLUMNS.findIndex((names) => names.some((one) => one.test(name)));
  return found < 0 ? COLUMNS.length - 1 : found;
}

/** Columns that nobody stands in are left out. */
export function topologyOf<T extends Placeable>(services: readonly T[]): Topology<T> {
  const columns = new Map<number, T[]>();
  for (const service of services) {
    const column = columnOf(service.name);
    columns.set(column, [...(columns.get(column) ?? []), service]);
  }
  const used = [...columns.keys()].sort((a, b) => a - b);
  const most = Math.max(1, ...[...columns.values()].map((all) => all.length));
  const height = most * (BOX.height + GAP.y) - GAP.y + 2 * EDGE;
  const nodes = used.flatMap((column, place) => {
    const all = columns.get(column) ?? [];
    const own = all.length * (BOX.height + GAP.y) - GAP.y;
    return all.map((service, index) => ({
      service,
      column,
      x: EDGE + place * (BOX.width + GAP.x),
      y: (height - own) / 2 + index * (BOX.height + GAP.y),
    }));
  });
  const names = services.map((service) => service.name);
  const edges = FLOWS.flatMap(([from, to]) =>
    names
      .filter((name) => from.test(name))
      .flatMap((one) => names.filter((name) => to.test(name)).map((other) => ({ from: one, to: other }))),
  );
  return { nodes, edges, height, width: Math.max(0, used.length * (BOX.width + GAP.x) - GAP.x) + 2 * EDGE };
}

/** A state in the colours of all states; ready or not is what counts. */
export function toneOf(service: Placeable): "good" | "warn" | "bad" {
  if (service.ready) return "good";
  return /fail|away|dead|stopped/i.test(service.state) ? "bad" : "warn";
}

/** What is not ready first, then by name. */
export function worstFirst<T extends Placeable>(services: readonly T[]): T[] {
  const rank = { bad: 0, warn: 1, good: 2 };
  return [...services].sort((a, b) => rank[toneOf(a)] - rank[toneOf(b)] || a.name.localeCompare(b.name));
}
