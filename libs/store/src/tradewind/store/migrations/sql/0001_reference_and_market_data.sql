-- Reference data, market data, equity, and what the platform remembers about itself.
-- Prices and sizes are int64 mantissas at the instrument's own precisions. ts_event and ts_recv are ns since the epoch;
-- ts is ts_event cut to the microsecond, for time ranges and partitions. Unsigned 64-bit ids of the market record are
-- stored as the bigint with the same bits.

CREATE TABLE instruments (
    instrument_id     text        PRIMARY KEY,
    instrument_number bigint      NOT NULL UNIQUE,
    definition        jsonb       NOT NULL,
    updated_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE trades (
    ts                timestamptz NOT NULL,
    ts_event          bigint      NOT NULL,
    ts_recv           bigint      NOT NULL,
    instrument_number bigint      NOT NULL,
    trade_id          bigint      NOT NULL,
    price             bigint      NOT NULL,
    size              bigint      NOT NULL,
    side              smallint    NOT NULL, -- the aggressor's: 0 unknown, 1 buy, 2 sell
    PRIMARY KEY (instrument_number, ts, trade_id) -- in this order it serves time ranges too: one index to maintain
);

CREATE TABLE quotes (
    ts                timestamptz NOT NULL,
    ts_event          bigint      NOT NULL,
    ts_recv           bigint      NOT NULL,
    instrument_number bigint      NOT NULL,
    sequence          bigint      NOT NULL,
    bid_price         bigint      NOT NULL,
    bid_size          bigint      NOT NULL,
    ask_price         bigint      NOT NULL,
    ask_size          bigint      NOT NULL,
    PRIMARY KEY (instrument_number, ts, sequence)
);

CREATE TABLE equity (
    ts             timestamptz NOT NULL,
    account_id     text        NOT NULL,
    strategy_id    text        NOT NULL,
    currency       text        NOT NULL,
    realized_pnl   numeric     NOT NULL,
    unrealized_pnl numeric     NOT NULL,
    fees           numeric     NOT NULL,
    PRIMARY KEY (account_id, strategy_id, currency, ts)
);

CREATE VIEW bars_1s AS
SELECT instrument_number, date_bin('1 second', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS ts,
       (array_agg(price ORDER BY ts_event, trade_id))[1] AS open, max(price) AS high, min(price) AS low,
       (array_agg(price ORDER BY ts_event DESC, trade_id DESC))[1] AS close,
       sum(size) AS volume, count(*) AS trades
FROM trades GROUP BY 1, 2;

CREATE VIEW bars_1m AS
SELECT instrument_number, date_bin('1 minute', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS ts,
       (array_agg(price ORDER BY ts_event, trade_id))[1] AS open, max(price) AS high, min(price) AS low,
       (array_agg(price ORDER BY ts_event DESC, trade_id DESC))[1] AS close,
       sum(size) AS volume, count(*) AS trades
FROM trades GROUP BY 1, 2;

CREATE TABLE audit (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ts     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor  text        NOT NULL,
    action text        NOT NULL,
    before text        NOT NULL,
    after  text        NOT NULL,
    why    text        NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused; write a new row that corrects the old one', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE trading_states (
    scope text        PRIMARY KEY,
    state text        NOT NULL CHECK (state IN ('ACTIVE', 'REDUCING', 'HALTED')),
    actor text        NOT NULL,
    why   text        NOT NULL,
    ts    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE strategy_runs (
    strategy_id text   PRIMARY KEY,
    run         bigint NOT NULL
);

CREATE TABLE checkpoints (
    strategy_id text        PRIMARY KEY,
    state       bytea       NOT NULL,
    ts          timestamptz NOT NULL DEFAULT clock_timestamp()
);
