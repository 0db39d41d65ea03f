-- Who is at work: each process of the movers says so every few seconds (migration/attendance.py).
-- migrate:up
create table control.workers (
    name text not null check (name ~ '^[a-z][a-z-]{0,62}$'),
    instance text not null,
    beat_at timestamptz not null default clock_timestamp(),
    primary key (name, instance)
);

-- migrate:down
drop table control.workers;
