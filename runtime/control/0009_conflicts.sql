-- Versions that were overwritten by ones that had not seen them (data-rules 2.5, 2.6), collected from the sides that recorded them.
-- A tag proves a value and shows none; the loser's whole row lies sealed beside it, for as long as somebody may want it back.
-- migrate:up
create table control.conflicts (
    id bigint generated always as identity primary key,
    source text not null,                    -- legacy, or the service, where the loser lost
    source_id bigint not null,
    recorded_at timestamptz not null,
    entity text not null,
    key text not null,                       -- as routes.key.write_key writes it
    loser jsonb not null,                    -- the five stamps
    loser_deleted boolean not null,
    winner jsonb not null,
    winner_deleted boolean not null,
    tags jsonb not null,                     -- field -> keyed tag of the loser's value; none for fields of few values
    collected_at timestamptz not null default clock_timestamp(),
    rung_at timestamptz,
    unique (source, source_id, recorded_at)  -- a database that is restored counts anew
);
create index conflicts_to_ring on control.conflicts (id) where rung_at is null;

create table control.quarantine (
    conflict_id bigint primary key references control.conflicts (id),
    sealed bytea not null,                   -- runtime/sealed.py: of entity, key and `<updated_at>.<origin>` of the loser
    kept_until timestamptz not null
);
create index quarantine_kept on control.quarantine (kept_until);

-- migrate:down
drop table control.quarantine;
drop table control.conflicts;
