-- What comparing both sides' answers has found (docs/shadow.md). No values: of a value and of a row's key there are keyed tags, and
-- the key itself lies sealed (runtime/sealed.py).
-- migrate:up

-- What one process has counted in one slot of five minutes; it is written anew while the slot lasts.
create table control.shadow_counts (
    slot timestamptz not null,
    writer text not null check (length(writer) between 1 and 200),
    release text not null check (length(release) <= 200),
    route text not null check (length(route) between 1 and 200),
    candidate text not null check (candidate in ('legacy', 'service')),
    noise boolean not null,                  -- legacy against itself
    document jsonb not null check (jsonb_typeof(document) = 'object'),
    primary key (slot, writer, release, route, candidate, noise)
);
create index shadow_counts_by_route on control.shadow_counts (route, slot);

-- Differences, one a row. The sides are asdict(shadow.evidence.Trace).
create table control.shadow_examples (
    id uuid primary key,
    at timestamptz not null,
    correlation_id text not null check (length(correlation_id) between 1 and 128),
    route text not null check (length(route) between 1 and 200),
    entity text not null check (entity ~ '^[a-z_]{1,63}$'),
    candidate text not null check (candidate in ('legacy', 'service')),
    noise boolean not null,
    release text not null check (length(release) <= 200),
    flag_version bigint not null check (flag_version >= 0),
    kind text not null check (kind ~ '^[a-z_]{1,32}$'),
    path text not null check (length(path) <= 2000),
    field text not null check (length(field) <= 63),
    decides boolean not null,
    row_tag text not null check (row_tag ~ '^([A-Za-z0-9._-]{1,32}:[0-9a-f]{32})?$'),
    sealed_key bytea not null,
    left_trace jsonb not null check (jsonb_typeof(left_trace) = 'object' and length(left_trace::text) <= 1000),
    right_trace jsonb not null check (jsonb_typeof(right_trace) = 'object' and length(right_trace::text) <= 1000)
);
create index shadow_examples_by_age on control.shadow_examples (at);
create index shadow_examples_by_route on control.shadow_examples (route, at);
create index shadow_examples_by_request on control.shadow_examples (correlation_id);

-- Columns that are counted and shown and do not decide, until a day that somebody has named. Nothing is deleted: what is replaced or
-- taken back has ended.
create table control.shadow_ignored (
    id bigint generated always as identity primary key,
    path text not null check (path ~ '^[a-z_]{1,63}\.[a-z_0-9]{1,63}$'),
    reason text not null check (length(reason) between 1 and 1000),
    until timestamptz not null,
    who text not null check (who <> ''),
    at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
);
create unique index shadow_ignored_once on control.shadow_ignored (path) where ended_at is null;

-- migrate:down

drop table control.shadow_ignored;
drop table control.shadow_examples;
drop table control.shadow_counts;
