-- Repeats of writes, as the gateway knows them: which side the latest attempt went to, and what the finished one got. Written
-- before either side is called. Scope, key and fingerprint are keyed hashes; the answer is sealed.
-- migrate:up
create table control.idempotency (
    scope text not null,
    key text not null,
    fingerprint text not null,
    authority text not null check (authority in ('legacy', 'service')),
    correlation_id text not null,            -- of the latest attempt: by it legacy's row is found where the authority numbers rows
    attempt bigint not null default 1,       -- a fencing number: whoever finishes must be the latest
    lease_until timestamptz not null,        -- of a running attempt; then its owner counts as dead
    finished_at timestamptz,
    status smallint,
    answer bytea,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (scope, key),
    check ((finished_at is null) = (answer is null))
);
create index idempotency_recorded on control.idempotency (recorded_at);

-- migrate:down
drop table control.idempotency;
