/** The system as the api shows it; null where a service does not tell. */

export interface SystemService {
  name: string;
  kind: string;
  state: string;
  ready: boolean;
  reason: string;
  since: string;
  restarts: number;
  host?: string | null;
  pid?: number | null;
  version?: string | null;
  loop_lag_ms?: number | string | null;
  bus_lag?: number | null;
  queue_fill?: number | string | null;
}

export interface Lease {
  name: string;
  holder: string | null;
  epoch: number | string;
  expires_at: string | null;
}

export interface Feed {
  venue: string;
  instrument_id: string;
  state: string;
  detail: string;
  gaps: number | null;
  last_record_at: string | null;
}

export interface Difference {
  currency: string;
  at_venue?: string;
  in_books?: string;
  difference?: string;
}

export interface Reconciliation {
  ts_event?: string | null;
  at?: string | null;
  differences?: Difference[];
  rows?: Difference[];
  orders_differing?: number | string[] | null;
}

export interface Subscription {
  topic: string;
  group: string | null;
  delivered: number;
  lag: number;
  dropped_records: number;
  gaps: number;
  dead_lettered: number;
}

export interface BusRow {
  plane: string;
  published: number;
  publish_waits: number;
  subscriptions: Subscription[];
}

export interface System {
  services: SystemService[];
  leases: Lease[];
  feeds: Feed[];
  reconciliation: Reconciliation | null;
  buses: BusRow[];
  /** Why leases and reconciliation are old. */
  store_away?: string;
}
