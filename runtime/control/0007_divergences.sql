-- What has not arrived on the other side (data-rules 3.10, 3.11, 7.5), and which key an intent's outcome has brought.
-- migrate:up

-- Of a row that the authority has numbered. `key` stays as it was announced: by it the entries of one write share a partition.
alter table control.intents add column brought_key text[];

-- One incident of one key and the side that spoke: until it is solved there is one row, however often it is seen.
create table control.divergences (
    id bigint generated always as identity primary key,
    entity text not null,
    key text not null,                       -- as routes.key.write_key writes it
    side text not null check (side in ('legacy', 'service')),
    state text not null check (state in ('waiting', 'parked', 'retrying', 'quarantined', 'solved')),
    reason text not null,                    -- SQLSTATE, or column and rule; never a value
    attempts integer not null default 1,
    correlation_id text,                     -- of the version that was to be brought when it was last tried
    first_seen timestamptz not null default clock_timestamp(),
    last_seen timestamptz not null default clock_timestamp(),
    next_at timestamptz not null,
    redriven_at timestamptz,
    quarantined_for text check (quarantined_for in ('refused', 'overdue')),
    quarantined_at timestamptz,
    rung_at timestamptz,                     -- an alert is open for it
    hushed_at timestamptz,                   -- and was resolved
    solved_at timestamptz,
    follows bigint references control.divergences (id),     -- the incident of the same key before, which was solved
    check ((state = 'solved') = (solved_at is not null)),
    check (state <> 'quarantined' or quarantined_for is not null)
);
create unique index divergences_open on control.divergences (entity, key, side) where state <> 'solved';
create index divergences_solved on control.divergences (entity, key, side, id) where state = 'solved';
create index divergences_due on control.divergences (next_at) where state in ('waiting', 'parked', 'retrying');
create index divergences_to_ring on control.divergences (id) where quarantined_at is not null and rung_at is null;
create index divergences_to_hush on control.divergences (id) where rung_at is not null and hushed_at is null and state = 'solved';

-- migrate:down
drop table control.divergences;
alter table control.intents drop column brought_key;
