-- Writes that were announced and are not settled yet: the mirror worker's memory, and for a gateway that starts the pins of
-- its users. Keys and stamps only. The stream is acknowledged once an entry is here.
-- migrate:up
create table control.intents (
    id uuid primary key,
    partition integer not null,
    entity text not null,
    key text[],                              -- null until the authority has numbered the row
    authority text not null check (authority in ('legacy', 'service')),
    scope text not null,
    user_tag text not null,
    epoch bigint not null,
    correlation_id text not null,
    seen_at timestamptz not null default clock_timestamp(),
    resolve_at timestamptz not null,         -- by then the write has ended, whether or not anybody has heard how
    outcome text check (outcome in ('applied', 'not_applied', 'unknown')),
    closed_at timestamptz,
    attempts integer not null default 0,
    next_at timestamptz not null default clock_timestamp()
);
create index intents_due on control.intents (partition, next_at);

-- migrate:down
drop table control.intents;
