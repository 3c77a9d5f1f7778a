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
CREATE INDEX orders_newest ON orders (ts_init DESC, client_order_id);

CREATE TABLE order_events (
    account_id      text    NOT NULL,
    client_order_id text    NOT NULL,
    sequence        integer NOT NULL,
    event_id        text    NOT NULL,
    type            text    NOT NULL,
    version         integer NOT NULL,
    payload         bytea   NOT NULL, -- the message as encoded for the bus
    ts_init         bigint  NOT NULL,
    PRIMARY KEY (account_id, client_order_id, sequence)
);

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

CREATE TABLE outbox (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text    NOT NULL,
    topic    text    NOT NULL,
    key      text    NOT NULL,
    type     text    NOT NULL,
    version  integer NOT NULL,
    payload  bytea   NOT NULL
);

-- Every write of the order path is one call of this function: one round trip, one transaction.
-- Errors: TW001, the lease is not ours any more (nothing was written); unique_violation, the caller's memory is behind the
-- store (nothing was written).
CREATE FUNCTION commit_order_batch(
    p_lease text, p_epoch bigint, p_account text,
    p_new_orders json, p_orders json, p_fills json, p_positions json, p_books json,
    p_topics text[], p_keys text[], p_event_ids text[], p_types text[], p_versions integer[], p_payloads bytea[],
    p_order_ids text[], p_sequences integer[], p_ts_init bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM leases WHERE name = p_lease AND epoch = p_epoch FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lease % with epoch % is not held any more', p_lease, p_epoch USING ERRCODE = 'TW001';
    END IF;
    IF p_new_orders IS NOT NULL THEN
        INSERT INTO orders SELECT * FROM json_populate_recordset(NULL::orders, p_new_orders);
    END IF;
    IF p_orders IS NOT NULL THEN
        UPDATE orders o
        SET status = n.status, previous_status = n.previous_status, outcome = n.outcome,
            unknown_since = n.unknown_since, venue_order_id = n.venue_order_id, filled_size = n.filled_size,
            reason = n.reason, event_count = n.event_count, ts_last = n.ts_last
        FROM json_populate_recordset(NULL::orders, p_orders) n
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
    INSERT INTO order_events
    SELECT p_account, t.order_id, t.sequence, t.event_id, t.type, t.version, t.payload, p_ts_init
    FROM unnest(p_order_ids, p_sequences, p_event_ids, p_types, p_versions, p_payloads)
        AS t (order_id, sequence, event_id, type, version, payload)
    WHERE t.sequence IS NOT NULL;
    INSERT INTO outbox (event_id, topic, key, type, version, payload)
    SELECT t.event_id, t.topic, t.key, t.type, t.version, t.payload
    FROM unnest(p_event_ids, p_topics, p_keys, p_types, p_versions, p_payloads)
        AS t (event_id, topic, key, type, version, payload);
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
