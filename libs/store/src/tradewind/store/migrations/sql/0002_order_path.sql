-- The order path: every order, its story, its fills, the books they add up to, and what is still to be published.
-- One writer per account: each transaction names its lease and epoch and fails when another process has taken over.

CREATE TABLE leases (
    name       text PRIMARY KEY,
    holder     text        NOT NULL,
    epoch      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE orders (
    account_id      text    NOT NULL,
    client_order_id text    NOT NULL,
    command_id      text    NOT NULL, -- event_id of the SubmitOrder: the same command twice is no second order
    strategy_id     text    NOT NULL,
    instrument_id   text    NOT NULL,
    side            text    NOT NULL,
    order_type      text    NOT NULL,
    time_in_force   text    NOT NULL,
    size            bigint  NOT NULL,
    price           bigint,
    trigger_price   bigint,
    post_only       boolean NOT NULL,
    reduce_only     boolean NOT NULL,
    expire_time     bigint,
    correlation_id  text    NOT NULL,
    status          text    NOT NULL,
    previous_status text,
    outcome         text    NOT NULL,
    unknown_since   bigint,
    venue_order_id  text,
    filled_size     bigint  NOT NULL,
    reason          text,
    event_count     integer NOT NULL,
    ts_init         bigint  NOT NULL,
    ts_last         bigint  NOT NULL,
    PRIMARY KEY (account_id, client_order_id)
);
CREATE INDEX orders_unfinished ON orders (account_id)
    WHERE status NOT IN ('DENIED', 'REJECTED', 'FILLED', 'CANCELED', 'EXPIRED') OR outcome = 'UNKNOWN';
CREATE INDEX orders_of_venue ON orders (account_id, instrument_id, venue_order_id) WHERE venue_order_id IS NOT NULL;
CREATE INDEX orders_newest ON orders (ts_init DESC, client_order_id);

-- Everything that the order path says, in commit order: the story of each order and what must be published. What stands
-- above ``journal_published`` was committed and may not have reached the bus.
CREATE TABLE journal (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      text    NOT NULL,
    client_order_id text, -- with sequence: set on order events
    sequence        integer,
    event_id        text    NOT NULL,
    topic           text    NOT NULL,
    type            text    NOT NULL,
    version         integer NOT NULL,
    payload         bytea   NOT NULL, -- the message as encoded for the bus
    ts_init         bigint  NOT NULL
);
CREATE UNIQUE INDEX journal_story ON journal (account_id, client_order_id, sequence) WHERE sequence > 0;

CREATE TABLE journal_published (
    account_id text PRIMARY KEY,
    through_id bigint NOT NULL
);

CREATE VIEW order_events AS
SELECT account_id, client_order_id, sequence, event_id, type, version, payload, ts_init
FROM journal WHERE sequence > 0;

CREATE TABLE fills (
    account_id      text    NOT NULL,
    venue           text    NOT NULL,
    trade_id        text    NOT NULL,
    client_order_id text    NOT NULL,
    venue_order_id  text    NOT NULL,
    strategy_id     text    NOT NULL,
    instrument_id   text    NOT NULL,
    side            text    NOT NULL,
    price           bigint  NOT NULL,
    size            bigint  NOT NULL,
    fee             numeric NOT NULL,
    fee_currency    text    NOT NULL,
    liquidity_side  text    NOT NULL,
    base_currency   text    NOT NULL,
    base_amount     numeric NOT NULL, -- signed change of the base currency, fee apart
    quote_currency  text    NOT NULL,
    quote_amount    numeric NOT NULL, -- signed change of the quote currency, fee apart
    ts_event        bigint  NOT NULL,
    PRIMARY KEY (account_id, venue, trade_id)
);
CREATE INDEX fills_newest ON fills (ts_event DESC, trade_id);
CREATE INDEX fills_of_order ON fills (account_id, client_order_id);

CREATE TABLE positions (
    account_id    text    NOT NULL,
    strategy_id   text    NOT NULL,
    instrument_id text    NOT NULL,
    signed_size   bigint  NOT NULL,
    average_price numeric NOT NULL,
    realized_pnl  numeric NOT NULL,
    PRIMARY KEY (account_id, strategy_id, instrument_id)
);

-- Cash of each strategy's book by currency. What the account held when we first saw it belongs to EXTERNAL, so that the
-- books add up to the whole account.
CREATE TABLE books (
    account_id  text    NOT NULL,
    strategy_id text    NOT NULL,
    currency    text    NOT NULL,
    amount      numeric NOT NULL,
    PRIMARY KEY (account_id, strategy_id, currency)
);

CREATE TABLE opening_balances (
    account_id text    NOT NULL,
    currency   text    NOT NULL,
    amount     numeric NOT NULL,
    ts         bigint  NOT NULL,
    PRIMARY KEY (account_id, currency)
);

-- Every write of the order path is one call of this function: one round trip, one transaction.
-- Errors: TW001, the lease is not ours any more (nothing was written); unique_violation, the caller's memory is behind the
-- store (nothing was written).
-- The frequent rows come as composite arrays, the rare ones as JSON: composites cost a third of what JSON costs here.
CREATE TYPE journal_entry AS (
    client_order_id text, sequence integer, event_id text, topic text, type text, version integer, payload bytea
);

CREATE FUNCTION commit_order_batch(
    p_lease text, p_epoch bigint, p_account text, p_ts_init bigint,
    p_new_orders orders[], p_orders orders[], p_journal journal_entry[],
    p_fills json, p_positions json, p_books json
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_last bigint;
BEGIN
    -- Shared by the holder's transactions, exclusive for whoever takes the lease over: cheaper than a row lock, which
    -- would write the row.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(p_lease, 0));
    IF NOT EXISTS (SELECT 1 FROM leases WHERE name = p_lease AND epoch = p_epoch) THEN
        RAISE EXCEPTION 'lease % with epoch % is not held any more', p_lease, p_epoch USING ERRCODE = 'TW001';
    END IF;
    IF p_new_orders IS NOT NULL THEN
        INSERT INTO orders SELECT * FROM unnest(p_new_orders);
    END IF;
    IF p_orders IS NOT NULL THEN
        UPDATE orders o
        SET status = n.status, previous_status = n.previous_status, outcome = n.outcome,
            unknown_since = n.unknown_since, venue_order_id = n.venue_order_id, filled_size = n.filled_size,
            reason = n.reason, event_count = n.event_count, ts_last = n.ts_last
        FROM unnest(p_orders) n
        WHERE o.account_id = n.account_id AND o.client_order_id = n.client_order_id;
    END IF;
    IF p_fills IS NOT NULL THEN
        INSERT INTO fills SELECT * FROM json_populate_recordset(NULL::fills, p_fills);
    END IF;
    IF p_positions IS NOT NULL THEN
        INSERT INTO positions SELECT * FROM json_populate_recordset(NULL::positions, p_positions)
        ON CONFLICT (account_id, strategy_id, instrument_id) DO UPDATE
        SET signed_size = EXCLUDED.signed_size, average_price = EXCLUDED.average_price,
            realized_pnl = EXCLUDED.realized_pnl;
    END IF;
    IF p_books IS NOT NULL THEN
        INSERT INTO books SELECT * FROM json_populate_recordset(NULL::books, p_books)
        ON CONFLICT (account_id, strategy_id, currency) DO UPDATE SET amount = EXCLUDED.amount;
    END IF;
    IF p_journal IS NOT NULL THEN
        INSERT INTO journal (account_id, client_order_id, sequence, event_id, topic, type, version, payload, ts_init)
        SELECT p_account, t.client_order_id, t.sequence, t.event_id, t.topic, t.type, t.version, t.payload, p_ts_init
        FROM unnest(p_journal) t;
        v_last := currval('journal_id_seq');
    END IF;
    RETURN v_last;
END
$$;

-- The ledger, computed from the facts alone (opening balances and fills), beside what the books say.
CREATE VIEW ledger AS
WITH moved AS (
    SELECT account_id, base_currency AS currency, base_amount AS amount FROM fills
    UNION ALL SELECT account_id, quote_currency, quote_amount FROM fills
    UNION ALL SELECT account_id, fee_currency, -fee FROM fills
    UNION ALL SELECT account_id, currency, amount FROM opening_balances
), account AS (
    SELECT account_id, currency, sum(amount) AS amount FROM moved GROUP BY account_id, currency
), booked AS (
    SELECT account_id, currency, sum(amount) AS amount FROM books GROUP BY account_id, currency
)
SELECT COALESCE(a.account_id, b.account_id) AS account_id, COALESCE(a.currency, b.currency) AS currency,
       COALESCE(a.amount, 0) AS account_amount, COALESCE(b.amount, 0) AS books_amount
FROM account a FULL JOIN booked b ON a.account_id = b.account_id AND a.currency = b.currency;
