/**
 * A table of any length: sorted by a click on a head, filtered by text, only the rows in sight are made. With the focus on it
 * the arrows, Page Up/Down, Home and End move, Enter opens.
 */

import {
  flexRender,
  getCoreRowModel,
  getFilteredRowModel,
  getSortedRowModel,
  useReactTable,
  type ColumnDef,
  type Header,
  type Row,
  type SortingState,
} from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useId, useRef, useState, type KeyboardEvent, type ReactElement, type ReactNode } from "react";
import { useKeys } from "../app/keys";

/** One column. `value` sorts and filters; `cell` shows. */
export interface Column<T> {
  id: string;
  title: string;
  value: (row: T) => string | number | boolean | null | undefined;
  cell?: (row: T) => ReactNode;
  /** Numbers stand on the right. */
  align?: "number" | "text";
  /** Left out where the table is narrow (under 560 px) or of middle width (under 820 px). */
  hide?: "narrow" | "middle";
  /** Not sorted by: buttons and the like. */
  isFixed?: boolean;
  className?: string;
}

export interface DataTableProps<T> {
  /** What the table is called for those who do not see it. */
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowId: (row: T) => string;
  /** Shown in place of rows when there are none. */
  empty: ReactNode;
  filter?: string;
  sort?: { id: string; desc: boolean };
  onOpen?: (row: T) => void;
  rowClass?: (row: T) => string;
  /** The last row came in sight: load more. */
  onEnd?: () => void;
  /** The row that the keys stand on has changed; null: none. */
  onActive?: (row: T | null) => void;
  /** Binds j, k and Enter everywhere in the page, under this title of the list of keys. */
  keys?: string;
  /** A row below all others, such as a total: one node per column id. */
  foot?: Record<string, ReactNode>;
}

const ROW_PX = 28;

/** Rows come as a new array when they changed, and columns are made once: both are compared by identity. */
export function DataTable<T>(props: DataTableProps<T>): ReactElement {
  const { rows, columns, filter = "", sort } = props;
  const [sorting, setSorting] = useState<SortingState>(sort ? [sort] : []);
  const [definitions, setDefinitions] = useState<{ of: readonly Column<T>[]; made: ColumnDef<T>[] }>(() => ({
    of: columns,
    made: columns.map(definition),
  }));
  if (definitions.of !== columns) setDefinitions({ of: columns, made: columns.map(definition) });
  const table = useReactTable<T>({
    data: rows as T[],
    columns: definitions.made,
    state: { sorting, globalFilter: filter },
    onSortingChange: setSorting,
    getRowId: props.rowId,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
    getFilteredRowModel: getFilteredRowModel(),
    globalFilterFn: "includesString",
  });
  const shown = table.getRowModel().rows;
  const heads = table.getHeaderGroups()[0]?.headers ?? [];
  return (
    <Body
      {...props}
      shown={shown}
      head={
        <tr>
          {heads.map((header) => (
            <Head key={header.id} header={header} column={columns.find((one) => one.id === header.id)} />
          ))}
        </tr>
      }
    />
  );
}

function definition<T>(column: Column<T>): ColumnDef<T> {
  return {
    id: column.id,
    header: column.title,
    accessorFn: column.value,
    enableSorting: !column.isFixed,
    sortUndefined: "last",
    sortingFn: (a, b, id) => order(a.getValue(id), b.getValue(id)),
    sortDescFirst: column.align === "number",
  };
}

/** Numbers by size, what is no number below them; text as people sort it. */
export function order(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(b)) - Number(Number.isNaN(a));
    return a - b;
  }
  return text(a).localeCompare(text(b), undefined, { numeric: true });
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function classOf<T>(column: Column<T> | undefined): string {
  const hide = column?.hide ? `hide-${column.hide}` : "";
  return [column?.align === "number" ? "num" : "", hide, column?.className ?? ""].filter(Boolean).join(" ");
}

function Head<T>({ header, column }: { header: Header<T, unknown>; column: Column<T> | undefined }): ReactElement {
  const sorted = header.column.getIsSorted();
  const order = sorted === "asc" ? "ascending" : "descending";
  const title = flexRender(header.column.columnDef.header, header.getContext());
  return (
    <th scope="col" className={classOf(column)} {...(sorted ? { "aria-sort": order } : {})}>
      {header.column.getCanSort() ? (
        <button type="button" className="plain" tabIndex={-1} onClick={header.column.getToggleSortingHandler()}>
          {title}
          <span aria-hidden="true">{sorted ? (sorted === "asc" ? " \u2191" : " \u2193") : ""}</span>
        </button>
      ) : (
        title
      )}
    </th>
  );
}

interface BodyProps<T> extends DataTableProps<T> {
  shown: Row<T>[];
  head: ReactNode;
}

function Body<T>(props: BodyProps<T>): ReactElement {
  const { shown, columns, onOpen, onEnd } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const id = useId();
  const [active, setActive] = useState<string | null>(null);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
    onChange: (now) => {
      const last = now.getVirtualItems().at(-1);
      if (onEnd && last && shown.length > 0 && last.index >= shown.length - 1) onEnd();
    },
  });
  const items = virtual.getVirtualItems();
  const above = items[0]?.start ?? 0;
  const below = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  const go = (next: number): void => {
    const row = shown[next];
    setActive(row?.id ?? null);
    virtual.scrollToIndex(next);
    props.onActive?.(row?.original ?? null);
  };
  const take = keysOf(shown, active, onOpen, go);
  useRowKeys(props.keys, take);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (!(event.target instanceof HTMLButtonElement) && take(event.key)) event.preventDefault();
  };
  return (
    <div className="table-scroll" ref={scroller}>
      <table
        role="grid"
        aria-label={props.label}
        aria-rowcount={shown.length + 1}
        tabIndex={0}
        onKeyDown={onKeyDown}
        {...(active && items.some((item) => shown[item.index]?.id === active)
          ? { "aria-activedescendant": `${id}${active}` }
          : {})}
      >
        <thead>{props.head}</thead>
        <tbody>
          {above > 0 ? <Spacer height={above} span={columns.length} /> : null}
          {items.map((item) => {
            const row = shown[item.index];
            return row ? (
              <Line
                key={row.id}
                id={`${id}${row.id}`}
                place={item.index + 2}
                row={row.original}
                columns={columns}
                className={`${props.rowClass?.(row.original) ?? ""}${row.id === active ? " active" : ""}`}
                onOpen={onOpen}
              />
            ) : null;
          })}
          {below > 0 ? <Spacer height={below} span={columns.length} /> : null}
        </tbody>
        {props.foot && shown.length ? <Foot columns={columns} foot={props.foot} /> : null}
      </table>
      {shown.length ? null : props.empty}
    </div>
  );
}

function useRowKeys(title: string | undefined, take: (key: string) => boolean): void {
  const bindings = [
    { keys: "j", about: "Next row", run: () => void take("ArrowDown") },
    { keys: "k", about: "Row before", run: () => void take("ArrowUp") },
    { keys: "Enter", about: "Open the row", run: () => void take("Enter") },
  ];
  useKeys(title ?? "", title ? bindings : []);
}

/** Answers whether the key meant something to the table. */
function keysOf<T>(
  shown: readonly Row<T>[],
  active: string | null,
  onOpen: ((row: T) => void) | undefined,
  go: (place: number) => void,
): (key: string) => boolean {
  return (key) => {
    const place = shown.findIndex((row) => row.id === active);
    const next = moved(key, place, shown.length);
    const row = shown[place];
    if (next !== null) go(next);
    else if (key === "Enter" && row && onOpen) onOpen(row.original);
    else return false;
    return true;
  };
}

function moved(key: string, from: number, count: number): number | null {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -count, End: count }[key];
  if (step === undefined || count === 0) return null;
  return Math.min(count - 1, Math.max(0, from < 0 ? (step > 0 && key !== "End" ? 0 : from + step) : from + step));
}

function Spacer({ height, span }: { height: number; span: number }): ReactElement {
  return (
    <tr aria-hidden="true" className="spacer">
      <td colSpan={span} style={{ height }} />
    </tr>
  );
}

interface LineProps<T> {
  id: string;
  place: number;
  row: T;
  columns: readonly Column<T>[];
  className: string;
  onOpen: ((row: T) => void) | undefined;
}

const Line = memo(function Line<T>({ id, place, row, columns, className, onOpen }: LineProps<T>): ReactElement {
  return (
    <tr
      id={id}
      aria-rowindex={place}
      className={`${className}${onOpen ? " opens" : ""}`}
      onClick={(event) => {
        // A button or a link in the row does its own thing.
        if (onOpen && event.target instanceof Element && !event.target.closest("button, a, input, label")) onOpen(row);
      }}
    >
      {columns.map((column) => (
        <td key={column.id} className={classOf(column)}>
          {column.cell ? column.cell(row) : plain(column.value(row))}
        </td>
      ))}
    </tr>
  );
}) as <T>(props: LineProps<T>) => ReactElement;

function plain(value: string | number | boolean | null | undefined): string {
  return value === null || value === undefined ? "\u2013" : String(value);
}

function Foot<T>({ columns, foot }: { columns: readonly Column<T>[]; foot: Record<string, ReactNode> }): ReactElement {
  return (
    <tfoot>
      <tr>
        {columns.map((column) => (
          <td key={column.id} className={classOf(column)}>
            {foot[column.id] ?? null}
          </td>
        ))}
      </tr>
    </tfoot>
  );
}
