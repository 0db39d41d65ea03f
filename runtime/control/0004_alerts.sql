-- migrate:up

-- What an operator has to look at (docs/decisions.md 38). No values: a row is named by its keyed tag, the rest are words of ours.
create table control.alerts (
    id bigint generated always as identity primary key,
    class text not null check (class ~ '^[a-z][a-z_]{0,62}$'),
    entity text not null check (entity ~ '^[a-z_]{0,63}$'),
    subject text not null check (subject ~ '^([A-Za-z0-9._-]{1,32}:[0-9a-f]{32})?$'),
    detail text not null check (detail ~ '^[a-z_]{0,63}$'),
    runbook text not null,
    state text not null default 'open' check (state in ('open', 'acknowledged', 'resolved')),
    count bigint not null default 1 check (count > 0),
    first_seen timestamptz not null default now(),
    last_seen timestamptz not null default now(),
    acknowledged_by text,
    acknowledged_at timestamptz,
    resolved_at timestamptz,
    follows bigint references control.alerts (id),        -- the same thing before, which was resolved
    notified text check (notified in ('firing', 'resolved')),     -- what the webhook's receiver knows
    notified_at timestamptz,
    check ((acknowledged_by is null) = (acknowledged_at is null)),
    check ((state = 'resolved') = (resolved_at is not null)),
    check (state <> 'acknowledged' or acknowledged_by is not null)
);

-- One row for one thing until it is resolved, however often it is seen.
create unique index alerts_unresolved on control.alerts (class, entity, subject) where state <> 'resolved';
create index alerts_resolved on control.alerts (class, entity, subject, id) where state = 'resolved';
create index alerts_to_notify on control.alerts (id)
    where notified is distinct from case state when 'resolved' then 'resolved' else 'firing' end;

-- migrate:down

drop table control.alerts;
