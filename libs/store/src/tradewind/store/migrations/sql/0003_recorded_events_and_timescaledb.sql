-- What the recorder writes beside trades and quotes, and TimescaleDB where it can be had: hypertables, bars as
-- continuous aggregates, compression and retention. Without it the same names and columns stand on plain tables.

-- One row for each event of a price-level feed. Its levels are two arrays of int64 mantissas, bids first: as many of
-- the prices as ``bids`` says, the others are asks. A size of 0 removes the level. A row per level would cost far more:
-- a row's own overhead and its key are several times as large as a price and a size.
CREATE TABLE book (
    ts                timestamptz NOT NULL,
    ts_event          bigint      NOT NULL,
    ts_recv           bigint      NOT NULL,
    instrument_number bigint      NOT NULL,
    first_sequence    bigint      NOT NULL,
    sequence          bigint      NOT NULL,
    clears            boolean     NOT NULL, -- the book is empty before these levels: a snapshot, or a lost book
    gap               boolean     NOT NULL, -- events were lost before this one
    bids              integer     NOT NULL,
    prices            bigint[]    NOT NULL,
    sizes             bigint[]    NOT NULL,
    PRIMARY KEY (instrument_number, ts, sequence, clears)
);

-- An order's story as the order path itself wrote it, in the transaction of the order.
ALTER VIEW order_events RENAME TO order_stories;

-- The same events as they were told on the bus, for those who ask over time and accounts. Written by the recorder.
CREATE TABLE order_events (
    ts              timestamptz NOT NULL,
    ts_event        bigint      NOT NULL,
    ts_init         bigint      NOT NULL,
    event_id        text        NOT NULL,
    account_id      text        NOT NULL,
    strategy_id     text        NOT NULL,
    instrument_id   text        NOT NULL,
    client_order_id text        NOT NULL,
    sequence        integer     NOT NULL,
    type            text        NOT NULL,
    version         integer     NOT NULL,
    status          text        NOT NULL,
    payload         bytea       NOT NULL, -- the message as encoded for the bus
    PRIMARY KEY (event_id, ts)
);
CREATE INDEX order_events_newest ON order_events (account_id, ts DESC);

-- How far the recorder has come. Written in the transaction of the rows, so that nothing is missing and nothing twice.
CREATE TABLE recorder_positions (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    ts_publish  bigint  NOT NULL, -- of the message before next_offset: it tells another broker apart
    PRIMARY KEY (topic, partition)
);

-- How long rows are kept, and after what time their chunks are compressed; NULL is for ever and never. An UPDATE takes
-- effect at once. Only TimescaleDB acts on it: plain tables keep everything as it is.
CREATE TABLE storage_policies (
    relation       text PRIMARY KEY,
    keep_for       interval,
    compress_after interval
);
INSERT INTO storage_policies (relation, keep_for, compress_after) VALUES
    ('trades', '30 days', '2 days'), ('quotes', '30 days', '2 days'), ('book', '30 days', '2 days'),
    ('order_events', NULL, '30 days'), ('equity', NULL, '30 days'),
    ('bars_1s', '90 days', '30 days'), ('bars_1m', NULL, '90 days'), ('bars_5m', NULL, '90 days'),
    ('bars_1h', NULL, '365 days'), ('bars_1d', NULL, NULL);

DROP VIEW bars_1s, bars_1m;
DO $$
DECLARE
    v record;
BEGIN
    FOR v IN VALUES ('bars_1s', '1 second'), ('bars_1m', '1 minute'), ('bars_5m', '5 minutes'), ('bars_1h', '1 hour'),
                    ('bars_1d', '1 day') LOOP
        EXECUTE format($sql$
            CREATE VIEW %I AS
            SELECT instrument_number, date_bin(%L, ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS ts,
                   (min(ARRAY[ts_event, trade_id, price]))[3] AS open, max(price) AS high, min(price) AS low,
                   (max(ARRAY[ts_event, trade_id, price]))[3] AS close,
                   sum(size) AS volume, count(*) AS trades
            FROM trades GROUP BY 1, 2
        $sql$, v.column1, v.column2);
    END LOOP;
END
$$;

-- Bars of any whole number of seconds, counted from the epoch; p_from and p_to are multiples of it. At most the last
-- p_limit intervals up to the newest trade. On plain tables straight from the trades: a range of time does not reach
-- their index through the grouping of a view.
CREATE FUNCTION candles(
    p_instrument bigint, p_interval_s integer, p_from timestamptz, p_to timestamptz, p_limit integer
) RETURNS TABLE (
    start_s bigint, open bigint, high bigint, low bigint, close bigint, volume numeric, trades bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_interval_ns bigint := p_interval_s * 1000000000::bigint;
    v_newest timestamptz := (
        SELECT max(t.ts) FROM trades t WHERE t.instrument_number = p_instrument AND t.ts >= p_from AND t.ts < p_to
    );
    v_from timestamptz := to_timestamp(floor(extract(epoch FROM v_newest) / p_interval_s) * p_interval_s)
        - make_interval(secs => p_interval_s::float8 * (p_limit - 1));
BEGIN
    RETURN QUERY
    SELECT (t.ts_event - mod(mod(t.ts_event, v_interval_ns) + v_interval_ns, v_interval_ns)) / 1000000000,
           (min(ARRAY[t.ts_event, t.trade_id, t.price]))[3], max(t.price), min(t.price),
           (max(ARRAY[t.ts_event, t.trade_id, t.price]))[3], sum(t.size), count(*)
    FROM trades t
    WHERE t.instrument_number = p_instrument AND t.ts >= greatest(p_from, v_from) AND t.ts < p_to
    GROUP BY 1 ORDER BY 1;
END
$$;

-- Turns the plain tables into hypertables and the views into continuous aggregates, with the data that is in them.
-- False when the extension is not there; it may be installed later, and this called again.
CREATE FUNCTION use_timescaledb() RETURNS boolean LANGUAGE plpgsql AS $use$
DECLARE
    v record;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'timescaledb') THEN
        -- An extension that is on disk and not preloaded ends the session.
        IF current_setting('shared_preload_libraries') NOT LIKE '%timescaledb%'
            OR NOT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb') THEN
            RETURN false;
        END IF;
        BEGIN
            CREATE EXTENSION timescaledb;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'TimescaleDB is not used (%): let a superuser create it, then SELECT use_timescaledb()',
                SQLERRM;
            RETURN false;
        END;
    END IF;
    -- The first version whose refresh policies take buckets_per_batch.
    IF (SELECT string_to_array(split_part(extversion, '-', 1), '.')::int[] < ARRAY[2, 19]
        FROM pg_extension WHERE extname = 'timescaledb') THEN
        RAISE WARNING 'TimescaleDB is not used: it is older than 2.19; update it, then SELECT use_timescaledb()';
        RETURN false;
    END IF;
    IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale' THEN
        RAISE WARNING 'TimescaleDB is not used: its Apache edition has no continuous aggregates and no compression';
        RETURN false;
    END IF;
    FOR v IN VALUES
        ('trades', '1 day', 'instrument_number', 'ts DESC, trade_id DESC'),
        ('quotes', '1 day', 'instrument_number', 'ts DESC, sequence DESC'),
        ('book', '1 day', 'instrument_number', 'ts DESC, sequence DESC, clears'),
        ('order_events', '30 days', 'account_id', 'ts DESC, event_id'),
        ('equity', '30 days', 'account_id, strategy_id, currency', 'ts DESC')
    LOOP
        PERFORM create_hypertable(v.column1::regclass, by_range('ts', v.column2::interval),
                                  create_default_indexes => false, if_not_exists => true, migrate_data => true);
        EXECUTE format(
            'ALTER TABLE %I SET '
            '(timescaledb.compress, timescaledb.compress_segmentby = %L, timescaledb.compress_orderby = %L)',
            v.column1, v.column3, v.column4);
    END LOOP;
    PERFORM make_timescaledb_bars();
    CREATE OR REPLACE TRIGGER storage_policies_take_effect AFTER INSERT OR UPDATE OR DELETE ON storage_policies
        FOR EACH STATEMENT EXECUTE FUNCTION apply_storage_policies();
    UPDATE storage_policies SET relation = relation;
    RETURN true;
END
$use$;

CREATE FUNCTION make_timescaledb_bars() RETURNS void LANGUAGE plpgsql AS $make$
DECLARE
    v record;
BEGIN
    IF EXISTS (SELECT 1 FROM timescaledb_information.continuous_aggregates WHERE view_name = 'bars_1s') THEN
        RETURN;
    END IF;
    DROP VIEW bars_1s, bars_1m, bars_5m, bars_1h, bars_1d;
    -- first(price, ts_event) would leave open which of several trades in one instant it takes.
    CREATE MATERIALIZED VIEW bars_1s WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT instrument_number, time_bucket(INTERVAL '1 second', ts) AS ts,
           (min(ARRAY[ts_event, trade_id, price]))[3] AS open, max(price) AS high, min(price) AS low,
           (max(ARRAY[ts_event, trade_id, price]))[3] AS close, sum(size) AS volume, count(*) AS trades
    FROM trades GROUP BY 1, 2 WITH NO DATA;
    FOR v IN VALUES ('bars_1m', '1 minute', 'bars_1s'), ('bars_5m', '5 minutes', 'bars_1m'),
                    ('bars_1h', '1 hour', 'bars_5m'), ('bars_1d', '1 day', 'bars_1h') LOOP
        EXECUTE format($sql$
            CREATE MATERIALIZED VIEW %I WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
            SELECT instrument_number, time_bucket(INTERVAL %L, ts) AS ts,
                   first(open, ts) AS open, max(high) AS high, min(low) AS low, last(close, ts) AS close,
                   sum(volume) AS volume, sum(trades)::bigint AS trades
            FROM %I GROUP BY 1, 2 WITH NO DATA
        $sql$, v.column1, v.column2, v.column3);
    END LOOP;
    FOR v IN VALUES ('bars_1s'), ('bars_1m'), ('bars_5m'), ('bars_1h') LOOP
        EXECUTE format('ALTER MATERIALIZED VIEW %I SET (timescaledb.compress)', v.column1);
    END LOOP;
    CREATE OR REPLACE FUNCTION candles(
        p_instrument bigint, p_interval_s integer, p_from timestamptz, p_to timestamptz, p_limit integer
    ) RETURNS TABLE (
        start_s bigint, open bigint, high bigint, low bigint, close bigint, volume numeric, trades bigint
    ) LANGUAGE plpgsql STABLE AS $$
    DECLARE
        v_bars text := CASE
            WHEN p_interval_s % 86400 = 0 THEN 'bars_1d' WHEN p_interval_s % 3600 = 0 THEN 'bars_1h'
            WHEN p_interval_s % 300 = 0 THEN 'bars_5m' WHEN p_interval_s % 60 = 0 THEN 'bars_1m' ELSE 'bars_1s' END;
        v_newest timestamptz;
        v_from timestamptz;
    BEGIN
        EXECUTE format($sql$
            SELECT ts FROM %I WHERE instrument_number = $1 AND ts >= $2 AND ts < $3 ORDER BY ts DESC LIMIT 1
        $sql$, v_bars) INTO v_newest USING p_instrument, p_from, p_to;
        v_from := to_timestamp(floor(extract(epoch FROM v_newest) / p_interval_s) * p_interval_s)
            - make_interval(secs => p_interval_s::float8 * (p_limit - 1));
        RETURN QUERY EXECUTE format($sql$
            SELECT (floor(extract(epoch FROM ts) / $4) * $4)::bigint, first(open, ts), max(high), min(low),
                   last(close, ts), sum(volume), sum(trades)::bigint
            FROM %I WHERE instrument_number = $1 AND ts >= greatest($2, $5) AND ts < $3 GROUP BY 1 ORDER BY 1
        $sql$, v_bars) USING p_instrument, p_from, p_to, p_interval_s, v_from;
    END
    $$;
END
$make$;

-- Makes the policies of TimescaleDB what storage_policies says. Bars of what was dropped from their source must not be
-- refreshed, or they would go too, and compressed ones need not be: so their refresh begins one day after both.
CREATE FUNCTION apply_storage_policies() RETURNS trigger LANGUAGE plpgsql AS $apply$
DECLARE
    v record;
BEGIN
    FOR v IN
        SELECT p.relation::regclass AS name, p.keep_for, p.compress_after,
               b.every, b.up_to, b.buckets,
               least(s.keep_for, p.compress_after) - INTERVAL '1 day' AS since
        FROM storage_policies p
        LEFT JOIN (VALUES
            ('bars_1s', 'trades', INTERVAL '1 minute', INTERVAL '2 minutes', 86400),
            ('bars_1m', 'bars_1s', INTERVAL '5 minutes', INTERVAL '5 minutes', 10080),
            ('bars_5m', 'bars_1m', INTERVAL '15 minutes', INTERVAL '15 minutes', 8640),
            ('bars_1h', 'bars_5m', INTERVAL '1 hour', INTERVAL '2 hours', 8760),
            ('bars_1d', 'bars_1h', INTERVAL '6 hours', INTERVAL '1 day', 3650)
        ) AS b (relation, source, every, up_to, buckets) ON b.relation = p.relation
        LEFT JOIN storage_policies s ON s.relation = b.source
    LOOP
        PERFORM remove_retention_policy(v.name, if_exists => true);
        PERFORM remove_compression_policy(v.name, if_exists => true);
        IF v.every IS NOT NULL THEN
            PERFORM remove_continuous_aggregate_policy(v.name, if_exists => true);
            PERFORM add_continuous_aggregate_policy(v.name, start_offset => v.since, end_offset => v.up_to,
                                                    schedule_interval => v.every, buckets_per_batch => v.buckets);
        END IF;
        IF v.keep_for IS NOT NULL THEN
            PERFORM add_retention_policy(v.name, v.keep_for);
        END IF;
        IF v.compress_after IS NOT NULL THEN
            PERFORM add_compression_policy(v.name, v.compress_after);
        END IF;
    END LOOP;
    RETURN NULL;
END
$apply$;

SELECT use_timescaledb();
