-- The version rule of a service's tables (data-rules section 2), the write mode and the epoch (section 7).
-- What migration/legacy/prepare.sql installs in legacy, with the sides swapped: same rules, same outcomes.
--
-- A write is an apply if it comes from banyan_apply, or from a function of the table's owner that has set the mark
-- `banyan.apply`. Applies copy their stamps and leave no outbox row. Everything else is a user's write, the owner's own too:
-- it gets its stamps here, whatever it names for these columns, and a row in the outbox. A request can touch neither the
-- outbox nor the tombstones by itself.
-- migrate:up

-- Behind the schema: otherwise a caller's temporary table would come before the table that a function means.
select set_config('search_path', current_schema() || ', pg_temp', true);

-- The login of whoever switches sides, as in legacy.
do $$ begin
  if not exists (select from pg_roles where rolname = 'banyan_control') then
    create role banyan_control login noinherit;
  end if;
exception when duplicate_object or unique_violation then null;      -- roles are the cluster's: another database was quicker
end $$;
do $$ begin execute format('grant usage on schema %I to banyan_control', current_schema()); end $$;

create table entity (
  entity text primary key,                 -- legacy's name of the table, as everywhere in flags and logs
  relation text not null unique,
  kind text not null check (kind in ('versioned', 'append_only')),
  key text[] not null,
  mode text not null default 'read_write' check (mode in ('read_write', 'closed')),
  epoch bigint not null default 0,
  changed_by text,
  reason text,
  changed_at timestamptz not null default clock_timestamp()
);
grant select on entity to banyan_apply, banyan_control;

-- Does the statement that is under way copy a version? Asked before any function has changed the role.
-- A foreign key acts as the table's owner, so what follows from a direct write of banyan_apply is known by its login.
create function applying(relation oid) returns boolean language plpgsql stable set search_path = '' as $$
begin
  if current_user = 'banyan_apply' then return true; end if;
  if session_user <> 'banyan_apply' and coalesce(current_setting('banyan.apply', true), '') <> 'on' then return false; end if;
  return current_user = (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = relation);
end $$;

create function correlation() returns text
  language sql volatile set search_path = ''
  return coalesce(substring(current_setting('banyan.correlation_id', true) from '^[A-Za-z0-9._:-]{1,128}$'),
                  'db-' || pg_current_xact_id()::text);

create function pick(r jsonb, columns text) returns jsonb
  language sql immutable set search_path = ''
  return (select jsonb_object_agg(c, r -> c) from unnest(string_to_array(columns, ',')) c);

-- Statement trigger. The mode is its argument: changing it is DDL that waits for running writers, so no transaction, whatever
-- its isolation level or snapshot, can slip through a switch.
create function guard() returns trigger language plpgsql set search_path from current as $$
begin
  if tg_argv[0] = 'read_write' or applying(tg_relid) then return null; end if;
  raise exception 'table % takes no writes here', tg_table_name using errcode = '25006', hint = 'write mode ' || tg_argv[0];
end $$;

create function refuse_change() returns trigger language plpgsql set search_path from current as $$
begin raise exception '% is append-only', tg_table_name using errcode = '42501'; end $$;

-- Row trigger, last but one by name, so that it has the last word on the stamps. Argument: the kind.
create function stamp() returns trigger language plpgsql set search_path from current as $$
declare
  versioned constant boolean := tg_argv[0] = 'versioned';
  clock constant timestamptz := clock_timestamp();
begin
  if applying(tg_relid) then
    if tg_op = 'UPDATE' and pg_trigger_depth() > 1 then    -- a foreign key's action: keep the old version,
      new.row_version := old.row_version;                  -- so that the authority's own version still wins
      new.origin := old.origin;
      new.correlation_id := old.correlation_id;
      if versioned then new.updated_at := old.updated_at; new.seen_at := old.seen_at; end if;
    end if;
    return new;
  end if;
  new.origin := 'service';
  new.correlation_id := correlation();
  if tg_op = 'INSERT' then
    new.created_at := coalesce(new.created_at, clock);
    new.row_version := 1;
    if versioned then new.updated_at := clock; new.seen_at := null; end if;
  else
    new.row_version := old.row_version + 1;
    if versioned then
      new.updated_at := greatest(clock, old.updated_at + interval '1 microsecond');
      new.seen_at := case when old.origin = 'service' then old.seen_at else old.updated_at end;
    end if;
  end if;
  return new;
end $$;

-- A key that was deleted and comes back (natural keys do) must be newer than its tombstone, also when a row is moved to such a key.
-- The tombstone is only read here, and removed by bury() once the row is really in: locks are taken row first, tombstone second, by everybody.
-- Arguments of this and the next two: the entity, and its key's columns.
create function revive() returns trigger language plpgsql security definer set search_path from current as $$
declare d tombstones;
begin
  if tg_op = 'UPDATE' then new.seen_at := null; end if;                     -- what the old key had seen says nothing about the new one
  select * into d from tombstones t where t.entity = tg_argv[0] and t.key = pick(to_jsonb(new), tg_argv[1]);
  if not found then return new; end if;
  new.updated_at := greatest(new.updated_at, d.updated_at + interval '1 microsecond');
  new.row_version := greatest(new.row_version, d.row_version + 1);
  new.seen_at := case when d.origin = 'service' then d.seen_at else d.updated_at end;
  return new;
end $$;

-- Tombstones of deletes by users, by foreign keys, and of the old key when a primary key changes. The tombstone of a key that a user's row
-- has just taken is removed (revive() lifted that row above it). Third argument: 'side effect' if an apply's foreign key deleted the row.
create function bury() returns trigger language plpgsql security definer set search_path from current as $$
declare side_effect constant boolean := tg_argv[2] is not distinct from 'side effect';
begin
  if tg_op <> 'DELETE' then
    delete from tombstones t where t.entity = tg_argv[0] and t.key = pick(to_jsonb(new), tg_argv[1])
      and (t.updated_at, origin_rank(t.origin)) < (new.updated_at, origin_rank(new.origin));
  end if;
  if tg_op = 'INSERT' then return null; end if;
  insert into tombstones as t (entity, key, updated_at, origin, row_version, correlation_id, seen_at)
  values (tg_argv[0], pick(to_jsonb(old), tg_argv[1]),
          case when side_effect then old.updated_at else greatest(clock_timestamp(), old.updated_at + interval '1 microsecond') end,
          case when side_effect then old.origin else 'service' end,
          case when side_effect then old.row_version else old.row_version + 1 end,
          correlation(),
          case when side_effect or old.origin = 'service' then old.seen_at else old.updated_at end)
  on conflict (entity, key) do update set                                   -- a tombstone beside the row: a user's delete goes above it, too
    updated_at = case when side_effect then excluded.updated_at else greatest(excluded.updated_at, t.updated_at + interval '1 microsecond') end,
    row_version = case when side_effect then excluded.row_version else greatest(excluded.row_version, t.row_version + 1) end,
    seen_at = case when side_effect then excluded.seen_at
                   else greatest(excluded.seen_at, case when t.origin = 'service' then t.seen_at else t.updated_at end) end,
    origin = excluded.origin, correlation_id = excluded.correlation_id, recorded_at = clock_timestamp()
    where not side_effect or (t.updated_at, origin_rank(t.origin)) < (excluded.updated_at, origin_rank(excluded.origin));
  return null;
end $$;

-- The outbox row of a user's write. A delete carries its tombstone's stamps; a changed key is a delete and a create.
create function announce() returns trigger language plpgsql security definer set search_path from current as $$
declare
  before constant jsonb := case when tg_op <> 'INSERT' then pick(to_jsonb(old), tg_argv[1]) end;
  j constant jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  after constant jsonb := pick(j, tg_argv[1]);
begin
  if before is distinct from after and before is not null then
    insert into outbox (event_type, entity, key, updated_at, origin, row_version, seen_at, correlation_id)
    select 'banyan.' || tg_argv[0] || '.deleted', t.entity, t.key, t.updated_at, t.origin, t.row_version, t.seen_at, t.correlation_id
      from tombstones t where t.entity = tg_argv[0] and t.key = before;
  end if;
  if j is not null then
    insert into outbox (event_type, entity, key, updated_at, origin, row_version, seen_at, correlation_id)
    values ('banyan.' || tg_argv[0] || case when before is not distinct from after then '.updated' else '.created' end, tg_argv[0], after,
            coalesce((j ->> 'updated_at')::timestamptz, new.created_at), new.origin, new.row_version,      -- append-only rows have no updated_at
            (j ->> 'seen_at')::timestamptz, new.correlation_id);
  end if;
  return null;
end $$;

-- Whoever may make a trigger of these on a table of its own could write tombstones and events at will. Firing needs no right.
revoke execute on function revive(), bury(), announce() from public;

-- Puts a table under the rule. `kind`: versioned or append_only; `key`: the primary key's columns in their order.
-- The service's role may then write what policies let it: without one for writing, nothing.
create procedure versioned(relation text, entity text, kind text, variadic key text[]) language plpgsql as $$
declare
  changed constant text := (select string_agg(format('old.%1$I is distinct from new.%1$I', k), ' or ') from unnest(key) k);
  user_writes constant text := format('not applying(%L::regclass)', format('%I', relation));
  rows constant boolean := kind = 'versioned';
  keyed constant text := format('%L, %L', entity, array_to_string(key, ','));
  t record;
begin
  insert into entity (entity, relation, kind, key) values (versioned.entity, versioned.relation, versioned.kind, versioned.key);
  execute format('grant insert %s on %I to %I', case when rows then ', update, delete' else '' end, relation, 'banyan_' || current_schema());
  for t in select * from (values
      (true,     'aa_guard',          'before insert or update or delete or truncate', 'statement', '', 'guard', quote_literal('read_write')),
      (not rows, 'ab_append_only',    'before update or delete', 'statement', '', 'refuse_change', ''),
      (true,     'zy_stamp',          'before insert or update', 'row', '', 'stamp', quote_literal(kind)),
      (rows,     'zz_revive',         'before insert', 'row', user_writes, 'revive', keyed),
      (rows,     'zz_revive_key',     'before update', 'row', format('(%s) and %s', changed, user_writes), 'revive', keyed),
      (rows,     'zz_bury',           'after delete', 'row', user_writes, 'bury', keyed),
      (rows,     'zz_bury_effect',    'after delete', 'row', format('pg_trigger_depth() > 0 and not (%s)', user_writes), 'bury', keyed || ', ''side effect'''),
      (rows,     'zz_bury_key',       'after update', 'row', format('(%s) and %s', changed, user_writes), 'bury', keyed),
      (rows,     'zz_bury_revived',   'after insert', 'row', 'new.row_version > 1 and ' || user_writes, 'bury', keyed),      -- a first version has revived nothing
      (true,     'zz_outbox',         'after insert or update or delete', 'row', user_writes, 'announce', keyed))             -- behind bury: a delete's stamps are there
      v(wanted, name, event, level, condition, fn, arguments) where v.wanted loop
    execute format('create trigger %I %s on %I for each %s %s execute function %I(%s)', t.name, t.event, relation, t.level,
                   case when t.condition <> '' then format('when (%s)', t.condition) else '' end, t.fn, t.arguments);
  end loop;
end $$;

-- The switch. The answer's wal_lsn lies behind every write that was accepted under the old mode: wait for it before flipping anything.
create function set_write_mode(p_entity text, p_mode text, p_epoch bigint, p_by text, p_reason text)
returns jsonb language plpgsql security definer set search_path from current set lock_timeout = '5s' as $$
declare e entity;
begin
  select * into e from entity x where x.entity = p_entity;
  if not found then raise exception 'unknown entity' using errcode = '22023'; end if;
  if p_mode is null or p_mode not in ('read_write', 'closed') or p_epoch is null or coalesce(p_by, '') = '' then
    raise exception 'mode, epoch and name are needed' using errcode = '22023';
  end if;
  execute format('lock table %I in share row exclusive mode', e.relation);     -- waits for every writer that has begun, holds new ones back
  select * into e from entity x where x.entity = p_entity for update;
  if p_epoch < e.epoch or (p_epoch = e.epoch and p_mode <> e.mode) then
    raise exception 'epoch % is not newer than %', p_epoch, e.epoch using errcode = '55000';
  end if;
  if p_mode <> e.mode then
    execute format('create or replace trigger aa_guard before insert or update or delete or truncate on %I '
                   'for each statement execute function guard(%L)', e.relation, p_mode);
  end if;
  update entity x set mode = p_mode, epoch = p_epoch, changed_by = p_by, reason = p_reason, changed_at = clock_timestamp() where x.entity = p_entity;
  return jsonb_build_object('entity', p_entity, 'mode', p_mode, 'epoch', p_epoch, 'wal_lsn', pg_current_wal_insert_lsn()::text);
end $$;

-- The first statement of a service's write. First the lock, then the epoch: a switch cannot fall in between, and waits for this transaction.
-- Raises BY001 if the caller's epoch is out of date, 25006 if the table is closed. Answers the epoch.
create function admit(p_entity text, p_epoch bigint) returns bigint language plpgsql security definer set search_path from current as $$
declare e entity;
begin
  if current_setting('transaction_isolation') <> 'read committed' then raise exception 'admit needs READ COMMITTED' using errcode = '25001'; end if;
  select * into e from entity x where x.entity = p_entity;
  if not found then raise exception 'unknown entity' using errcode = '22023'; end if;
  execute format('lock table %I in row exclusive mode', e.relation);
  select * into e from entity x where x.entity = p_entity;
  if p_epoch < e.epoch then raise exception 'stale epoch' using errcode = 'BY001'; end if;
  if e.mode = 'closed' then raise exception 'table % takes no writes here', e.relation using errcode = '25006'; end if;
  return e.epoch;
end $$;

revoke execute on function set_write_mode(text, text, bigint, text, text), admit(text, bigint) from public;
grant execute on function set_write_mode(text, text, bigint, text, text) to banyan_control;
do $$ begin execute format('grant execute on function admit(text, bigint) to %I', 'banyan_' || current_schema()); end $$;
