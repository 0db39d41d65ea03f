-- migrate:up

-- Which database counts the versions: a snapshot from another one replaces whatever a process has from the last.
-- The row is also the lock that changes take, one after the other.
create table control.flag_store (
    id uuid primary key default gen_random_uuid(),
    only_one boolean not null default true unique check (only_one)
);
insert into control.flag_store default values;

-- Every flag set there ever was. `change` says in words of data what was done; `doc` is the whole result.
create table control.flag_versions (
    version bigint primary key check (version > 0),
    doc jsonb not null,
    change jsonb not null,
    who text not null,
    reason text not null,
    approver text,
    at timestamptz not null default now(),
    check (approver is distinct from who)
);
create index flag_versions_by_entity on control.flag_versions ((change ->> 'entity'), version desc);

create function control.refuse_rewriting() returns trigger language plpgsql as $$
begin
    raise exception 'control.% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger append_only before update or delete on control.flag_versions
    for each row execute function control.refuse_rewriting();
create trigger append_only_truncate before truncate on control.flag_versions
    for each statement execute function control.refuse_rewriting();

-- A second person's yes to one change from one state of things; good for a while, and for one use.
create table control.flag_approvals (
    id uuid primary key default gen_random_uuid(),
    change jsonb not null,
    before jsonb not null,
    approver text not null,
    at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_by bigint unique references control.flag_versions (version)
);

-- migrate:down

drop table control.flag_approvals;
drop table control.flag_versions;
drop table control.flag_store;
drop function control.refuse_rewriting();
