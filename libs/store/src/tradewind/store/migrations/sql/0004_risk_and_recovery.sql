-- Risk counters, the kill switch, what reconciliation found, and strategies' checkpoints.

-- Risk limits: what a restart must not reset, the prices that orders are counted at, and each account's share of the
-- firm's limit. See docs/protocols/risk-limits.md.
CREATE TABLE risk_counters (
    account_id    text    NOT NULL,
    scope         text    NOT NULL, -- account, or strategy:<id>
    day           bigint  NOT NULL, -- number of the trading day since 1970, UTC, as shifted by the day's start
    day_start_pnl numeric NOT NULL,
    peak_pnl      numeric NOT NULL, -- never below the true peak: written ahead of it
    last_pnl      numeric NOT NULL,
    fees          numeric NOT NULL, -- all fees so far, in quote currency
    PRIMARY KEY (account_id, scope)
);

-- Only of orders that count at another price than their own: market orders, and limits through the market.
CREATE TABLE risk_order_prices (
    account_id      text   NOT NULL,
    client_order_id text   NOT NULL,
    price           bigint NOT NULL,
    PRIMARY KEY (account_id, client_order_id)
);

CREATE TABLE firm_limits (
    firm         text PRIMARY KEY,
    max_notional numeric NOT NULL CHECK (max_notional >= 0)
);

CREATE TABLE firm_allocations (
    firm       text    NOT NULL,
    account_id text    NOT NULL,
    share      numeric NOT NULL CHECK (share >= 0),
    wanted     numeric NOT NULL CHECK (wanted >= 0),
    PRIMARY KEY (firm, account_id)
);

CREATE FUNCTION write_risk_rows(p_account text, p_risk json) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO risk_counters
    SELECT p_account, c.scope, c.day, c.day_start_pnl, c.peak_pnl, c.last_pnl, c.fees
    FROM json_populate_recordset(NULL::risk_counters, p_risk -> 'counters') c
    ON CONFLICT (account_id, scope) DO UPDATE
    SET day = EXCLUDED.day, day_start_pnl = EXCLUDED.day_start_pnl, peak_pnl = EXCLUDED.peak_pnl,
        last_pnl = EXCLUDED.last_pnl, fees = EXCLUDED.fees;
    INSERT INTO risk_order_prices
    SELECT p_account, o.client_order_id, o.price
    FROM json_populate_recordset(NULL::risk_order_prices, p_risk -> 'order_prices') o
    ON CONFLICT (account_id, client_order_id) DO UPDATE SET price = EXCLUDED.price;
    DELETE FROM risk_order_prices
    WHERE account_id = p_account
      AND client_order_id IN (SELECT json_array_elements_text(p_risk -> 'ended_orders'));
END
$$;

-- As the function of the same name without ``p_risk``, which writes the orders and checks the lease.
CREATE FUNCTION commit_order_batch(
    p_lease text, p_epoch bigint, p_account text, p_ts_init bigint,
    p_new_orders orders[], p_orders orders[], p_journal journal_entry[],
    p_fills json, p_positions json, p_books json, p_risk json
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_last bigint;
BEGIN
    v_last := commit_order_batch(p_lease, p_epoch, p_account, p_ts_init, p_new_orders, p_orders, p_journal,
                                 p_fills, p_positions, p_books);
    IF p_risk IS NOT NULL THEN
        PERFORM write_risk_rows(p_account, p_risk);
    END IF;
    RETURN v_last;
END
$$;

-- Give an account the share of the firm's limit that it asks for, or as much more as is free; returns what it has now.
-- The row of the firm makes those who change shares wait for each other; no order passes here.
-- Errors: TW001, the account's lease is not ours any more (nothing was written).
CREATE FUNCTION set_firm_share(
    p_firm text, p_account text, p_lease text, p_epoch bigint, p_share numeric, p_wanted numeric
) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    v_limit  numeric;
    v_others numeric;
    v_share  numeric;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(p_lease, 0));
    IF NOT EXISTS (SELECT 1 FROM leases WHERE name = p_lease AND epoch = p_epoch) THEN
        RAISE EXCEPTION 'lease % with epoch % is not held any more', p_lease, p_epoch USING ERRCODE = 'TW001';
    END IF;
    SELECT max_notional INTO STRICT v_limit FROM firm_limits WHERE firm = p_firm FOR UPDATE;
    SELECT COALESCE(sum(share), 0) INTO v_others FROM firm_allocations WHERE firm = p_firm AND account_id <> p_account;
    SELECT COALESCE(sum(share), 0) INTO v_share FROM firm_allocations WHERE firm = p_firm AND account_id = p_account;
    -- What an account has it keeps as long as it asks for it, also after the firm's limit was lowered.
    v_share := least(p_share, greatest(v_limit - v_others, v_share));
    INSERT INTO firm_allocations VALUES (p_firm, p_account, v_share, p_wanted)
    ON CONFLICT (firm, account_id) DO UPDATE SET share = EXCLUDED.share, wanted = EXCLUDED.wanted;
    RETURN v_share;
END
$$;

-- The kill switch. A row is one engagement of a scope, from its beginning to its release; the history is only added to.
CREATE TABLE kill_switches (
    kill_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope          text        NOT NULL,
    flatten        boolean     NOT NULL,
    stage          text        NOT NULL CHECK (
        stage IN ('ENGAGED', 'CANCELING', 'FLATTENING', 'VERIFYING', 'FLAT', 'STUCK', 'RELEASED')
    ),
    reason         text        NOT NULL, -- what it waits for
    evidence       jsonb, -- the venue's snapshot that proved it flat
    engaged_by     text        NOT NULL,
    engaged_why    text        NOT NULL,
    engaged_at     timestamptz NOT NULL,
    stage_at       timestamptz NOT NULL,
    released_by    text,
    released_why   text,
    released_at    timestamptz,
    forced         boolean     NOT NULL DEFAULT false, -- released without the proof
    CHECK ((stage = 'RELEASED') = (released_at IS NOT NULL))
);
CREATE UNIQUE INDEX kill_switches_engaged ON kill_switches (scope) WHERE released_at IS NULL;

CREATE TABLE kill_switch_history (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kill_id    bigint      NOT NULL,
    command_id text        UNIQUE, -- event_id of the command that did it: the same command twice is done once
    stage      text        NOT NULL,
    reason     text        NOT NULL,
    evidence   jsonb,
    actor      text        NOT NULL,
    ts         timestamptz NOT NULL
);
CREATE INDEX kill_switch_history_of ON kill_switch_history (kill_id, id);
CREATE TRIGGER kill_switch_history_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kill_switch_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Recovery: what the comparison of the account at the venue with our books said, whenever that changed, and operators'
-- words on single orders.
CREATE TABLE reconciliations (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  text    NOT NULL,
    ts          bigint  NOT NULL, -- ns
    differences jsonb   NOT NULL, -- currency, at_venue, in_books; empty when all agree
    details     jsonb   NOT NULL  -- how much was looked at
);
CREATE INDEX reconciliations_newest ON reconciliations (account_id, id DESC);

-- As the function of the same name without ``p_recovery``, which writes the orders and checks the lease.
CREATE FUNCTION commit_order_batch(
    p_lease text, p_epoch bigint, p_account text, p_ts_init bigint,
    p_new_orders orders[], p_orders orders[], p_journal journal_entry[],
    p_fills json, p_positions json, p_books json, p_risk json, p_recovery json
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_last bigint;
BEGIN
    v_last := commit_order_batch(p_lease, p_epoch, p_account, p_ts_init, p_new_orders, p_orders, p_journal,
                                 p_fills, p_positions, p_books, p_risk);
    UPDATE orders o SET strategy_id = c.strategy_id
    FROM json_to_recordset(p_recovery -> 'claims') AS c(client_order_id text, strategy_id text)
    WHERE o.account_id = p_account AND o.client_order_id = c.client_order_id;
    INSERT INTO audit (ts, actor, action, before, after, why)
    SELECT to_timestamp(a.ts / 1e9), a.actor, a.action, a.before, a.after, a.why
    FROM json_to_recordset(p_recovery -> 'audit')
        AS a(ts bigint, actor text, action text, before text, after text, why text);
    INSERT INTO reconciliations (account_id, ts, differences, details)
    SELECT p_account, r.ts, r.differences, r.details
    FROM json_to_recordset(p_recovery -> 'reconciliations') AS r(ts bigint, differences jsonb, details jsonb);
    RETURN v_last;
END
$$;

-- Strategies' checkpoints. journal_id: every order event of the strategy up to here is contained in the state, none after.
ALTER TABLE checkpoints
    ADD COLUMN run bigint NOT NULL DEFAULT 0, -- the start that wrote it: an older start never writes over a newer one
    ADD COLUMN journal_id bigint NOT NULL DEFAULT 0;
