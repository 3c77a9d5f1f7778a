-- The page and its people: users, sessions, tokens, audit lines; alerts; strategies' settings.

-- Alerts: one row per condition and subject (``fingerprint``), opened again and again; and what was told of them. The
-- service alerts writes them, and the api acknowledges.
CREATE TABLE alerts (
    alert_id         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint      text    NOT NULL UNIQUE, -- name and subject
    name             text    NOT NULL,
    subject          text    NOT NULL,
    severity         text    NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    summary          text    NOT NULL,
    page             text    NOT NULL,
    state            text    NOT NULL CHECK (state IN ('OPEN', 'ACKNOWLEDGED', 'RESOLVED')),
    revision         bigint  NOT NULL DEFAULT 1, -- grows with every change: the newest word wins
    count            integer NOT NULL DEFAULT 1, -- times that it was opened
    first_at         bigint  NOT NULL, -- ns: when it was opened last
    last_at          bigint  NOT NULL, -- ns: when it was last seen to be so
    openings         bigint[] NOT NULL, -- ns: the newest times that it was opened
    flapping_since   bigint, -- ns: told of as going up and down; nothing more is told until it holds still
    told_at          bigint, -- ns: when the last notification of this opening was made
    acknowledged_by  text,
    acknowledged_why text,
    acknowledged_at  bigint,
    resolved_at      bigint,
    CHECK ((state = 'RESOLVED') = (resolved_at IS NOT NULL)),
    CHECK ((state = 'ACKNOWLEDGED') <= (acknowledged_by IS NOT NULL))
);
CREATE INDEX alerts_newest ON alerts (last_at DESC, alert_id DESC);
CREATE INDEX alerts_unresolved ON alerts (alert_id) WHERE state <> 'RESOLVED';

-- The channels that the service has, and how each does.
CREATE TABLE alert_channels (
    channel       text    PRIMARY KEY,
    minimum       text    NOT NULL CHECK (minimum IN ('info', 'warning', 'critical')),
    configured    boolean NOT NULL,
    failing_since bigint, -- ns: of the first attempt that failed since one succeeded
    failures      integer NOT NULL DEFAULT 0,
    problem       text    NOT NULL DEFAULT '',
    sent_at       bigint -- ns: of the last that succeeded
);

-- What is to be told, and what became of it. Those with one ``delivery_id`` go out as one message.
CREATE TABLE alert_notifications (
    notification_id bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel         text    NOT NULL,
    alert_id        bigint, -- null: a test of the channel
    opening         integer NOT NULL, -- the alert's count
    kind            text    NOT NULL CHECK (kind IN ('OPENED', 'ESCALATED', 'REPEATED', 'FLAPPING', 'RESOLVED', 'TEST')),
    severity        text    NOT NULL,
    state           text    NOT NULL CHECK (state IN ('PENDING', 'SENT', 'FAILED', 'DROPPED')),
    created_at      bigint  NOT NULL, -- ns
    due_at          bigint  NOT NULL, -- ns: not before
    claimed_until   bigint  NOT NULL DEFAULT 0, -- ns: somebody is sending it now
    delivery_id     text,
    attempts        integer NOT NULL DEFAULT 0,
    outcome         text    NOT NULL DEFAULT '',
    ended_at        bigint -- ns
);
CREATE INDEX alert_notifications_pending ON alert_notifications (channel, notification_id) WHERE state = 'PENDING';
CREATE INDEX alert_notifications_of ON alert_notifications (alert_id, channel, notification_id);

-- What the service must remember over a restart to see a change: services that were there, offsets, epochs.
CREATE TABLE alert_marks (
    mark       text   PRIMARY KEY,
    value      bigint NOT NULL,
    changed_at bigint NOT NULL -- ns
);

-- People: users, their logins and what they have done. Secrets are kept as hashes: passwords as argon2id, everything
-- that was random when it was made (refresh tokens, api tokens, one-time links) as SHA-256. Times are ns.
CREATE TABLE users (
    name           text    PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,31}$'),
    role           text    NOT NULL CHECK (role IN ('viewer', 'trader', 'risk', 'admin')),
    enabled        boolean NOT NULL DEFAULT true,
    password_hash  text, -- null: no password was ever set
    subject        text    UNIQUE, -- issuer and subject at the identity provider; null: nobody comes from there
    created_at     bigint  NOT NULL,
    password_at    bigint,
    last_login_at  bigint
);

-- A login and what has become of it; its refresh tokens are one family.
CREATE TABLE sessions (
    session_id text   PRIMARY KEY,
    user_name  text   NOT NULL REFERENCES users,
    client     text   NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended_at   bigint,
    ended_why  text   NOT NULL DEFAULT ''
);
CREATE INDEX sessions_of ON sessions (user_name) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE refresh_tokens (
    token_hash bytea  PRIMARY KEY,
    session_id text   NOT NULL REFERENCES sessions,
    issued_at  bigint NOT NULL,
    used_at    bigint -- one that comes again after its use was stolen, from us or from the thief
);
CREATE INDEX refresh_tokens_of ON refresh_tokens (session_id);

CREATE TABLE api_tokens (
    token_id     text   PRIMARY KEY,
    user_name    text   NOT NULL REFERENCES users,
    label        text   NOT NULL,
    token_hash   bytea  NOT NULL UNIQUE,
    created_at   bigint NOT NULL,
    expires_at   bigint,
    last_used_at bigint,
    revoked_at   bigint
);
CREATE INDEX api_tokens_of ON api_tokens (user_name);

CREATE TABLE one_time_links (
    token_hash bytea  PRIMARY KEY,
    user_name  text   REFERENCES users, -- null: makes the first admin
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at    bigint
);

-- Who did it in which role, to what, from where. Rows of services that act by themselves have none of it.
ALTER TABLE audit
    ADD COLUMN entry_id text UNIQUE, -- makes a line that is written again, after an answer was lost, one line
    ADD COLUMN role     text NOT NULL DEFAULT '',
    ADD COLUMN subject  text NOT NULL DEFAULT '',
    ADD COLUMN client   text NOT NULL DEFAULT '';
CREATE INDEX audit_of_actor ON audit (actor, id DESC);
CREATE INDEX audit_of_subject ON audit (subject, id DESC);

-- Orders of one cause, for an order's whole story on the page.
CREATE INDEX orders_of_cause ON orders (correlation_id);

-- Strategies: what people want of each, and every command that was taken or refused. The host of a strategy writes it,
-- as long as the strategy's last start is its own.
ALTER TABLE strategy_runs ADD COLUMN holder text NOT NULL DEFAULT ''; -- the process that made the last start
CREATE TABLE strategy_control (
    strategy_id  text    PRIMARY KEY,
    wanted       text    NOT NULL CHECK (wanted IN ('RUNNING', 'STOPPED')),
    stop_policy  text, -- of the stop that is not over yet; null: over, or none was asked for
    start_policy text, -- of the next start alone; null: ``policy``
    policy       text, -- null: the environment's
    settings     jsonb   NOT NULL DEFAULT '{}', -- go before the environment's
    version      integer NOT NULL DEFAULT 0, -- of settings and policy
    actor        text    NOT NULL,
    why          text    NOT NULL,
    changed_at   bigint  NOT NULL -- ns
);
CREATE TABLE strategy_changes (
    change_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    strategy_id text   NOT NULL,
    command_id  text   NOT NULL UNIQUE, -- a command that comes again does nothing
    action      text   NOT NULL CHECK (action IN ('START', 'STOP', 'CONFIGURE')),
    refusal     text   NOT NULL DEFAULT '', -- empty: taken
    before      jsonb  NOT NULL,
    after       jsonb  NOT NULL,
    actor       text   NOT NULL,
    why         text   NOT NULL,
    ts          bigint NOT NULL -- ns
);
CREATE INDEX strategy_changes_of ON strategy_changes (strategy_id, change_id DESC);
CREATE TRIGGER strategy_changes_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON strategy_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
