-- migrate:up

-- Who is let in no more although the token is good. Nothing is deleted: an entry ends by its time or by being lifted.
create table control.revocations (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('sub', 'session', 'jti')),
    value text not null check (length(value) between 1 and 200),
    reason text not null,
    actor text not null,
    made_at timestamptz not null default now(),
    ends_at timestamptz,
    lifted_at timestamptz,
    lifted_by text,
    lifted_reason text,
    check ((lifted_at is null) = (lifted_by is null))
);
create index revocations_not_lifted on control.revocations (kind, value) where lifted_at is null;

-- The version of the list as a whole. The row is also the lock that changes take, one after the other.
create table control.revocation_list (
    only_one boolean primary key default true check (only_one),
    version bigint not null default 0
);
insert into control.revocation_list default values;

-- migrate:down

drop table control.revocation_list;
drop table control.revocations;
