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
