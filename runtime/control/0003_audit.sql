-- The audit chain (runtime/auditchain.py). No name here carries a schema, so that a service's schema can have the same.
--
-- Who writes a chain needs no more than: select, insert on audit; select, insert, update on audit_heads. Not the owner: whoever
-- owns the tables can take the triggers off. They stop mistakes; edits behind them are what the hashes and the anchors find.
-- migrate:up

-- The newest record of each chain. The row is also the lock that appends to one chain take, one after the other.
create table audit_heads (
    writer text primary key check (writer ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    n bigint not null default 0 check (n >= 0),
    hash bytea not null default decode(repeat('00', 32), 'hex') check (octet_length(hash) = 32)
);

-- What was done, by whom and why; never patient data. `hash` covers all other columns and, by `previous`, all earlier records.
create table audit (
    writer text not null references audit_heads (writer),
    n bigint not null check (n > 0),
    at timestamptz not null,
    action text not null check (action ~ '^[a-z_]+\.[a-z_]+$'),
    actor text not null check (actor <> ''),
    reason text not null,
    subject jsonb not null check (jsonb_typeof(subject) = 'object'),
    key_id text not null,
    previous bytea not null check (octet_length(previous) = 32),
    hash bytea not null check (octet_length(hash) = 32),
    primary key (writer, n)
);

create function refuse_audit_rewriting() returns trigger language plpgsql as $$
begin
    raise exception '%.% is append-only', tg_table_schema, tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger append_only before update or delete on audit
    for each row execute function refuse_audit_rewriting();
create trigger append_only_truncate before truncate on audit
    for each statement execute function refuse_audit_rewriting();
create trigger one_further before update on audit_heads
    for each row when (new.writer <> old.writer or new.n <> old.n + 1) execute function refuse_audit_rewriting();
create trigger append_only before delete on audit_heads
    for each row execute function refuse_audit_rewriting();
create trigger append_only_truncate before truncate on audit_heads
    for each statement execute function refuse_audit_rewriting();

-- migrate:down

drop table audit;
drop table audit_heads;
drop function refuse_audit_rewriting();
