-- The guarded apply, the conflicts that it records, and the cure of a stamp in the future (data-rules 2.2 to 2.7).
-- The counterpart of banyan.mirror_apply, mirror_batch and restamp in migration/legacy/prepare.sql: same outcomes, sides swapped.
-- migrate:up

select set_config('search_path', current_schema() || ', pg_temp', true);

-- Holds the loser's full row (PHI): for the worker alone, who moves it to the encrypted quarantine.
create table conflicts (
  id bigint generated always as identity primary key,
  entity text not null,
  key jsonb not null,
  loser_row_version bigint not null,
  loser_updated_at timestamptz not null,
  loser_origin text not null,
  loser_seen_at timestamptz,
  loser_correlation_id text,
  loser_row jsonb,                         -- null: the loser was a delete
  winner_row_version bigint not null,
  winner_updated_at timestamptz not null,
  winner_origin text not null,
  winner_seen_at timestamptz,
  winner_correlation_id text,
  winner_deleted boolean not null,
  recorded_at timestamptz not null default clock_timestamp(),
  collected_at timestamptz                 -- moved to the quarantine, about to be deleted here
);
grant select, delete, update (collected_at) on conflicts to banyan_apply;

-- Versions (a row, a tombstone, or what comes in) as jsonb with updated_at, origin, row_version, seen_at, correlation_id.
create function precedes(a jsonb, b jsonb) returns boolean
  language sql stable set search_path = ''
  return ((a ->> 'updated_at')::timestamptz, origin_rank(a ->> 'origin')) < ((b ->> 'updated_at')::timestamptz, origin_rank(b ->> 'origin'));

-- The loser gives way to the winner in this transaction. Recorded only if it was written here and the winner, of the other side, has not seen it;
-- or if a row and a tombstone, both of this side, stood beside each other (a user's insert that waited on another user's delete) and the row goes.
create function record_conflict(p_entity text, p_key jsonb, loser jsonb, loser_deleted boolean, winner jsonb, winner_deleted boolean,
  beside boolean default false) returns boolean language plpgsql set search_path from current as $$
begin
  if loser ->> 'origin' <> 'service' then return false; end if;
  if winner ->> 'origin' = 'service' then
    if not beside then return false; end if;
  elsif (winner ->> 'seen_at')::timestamptz >= (loser ->> 'updated_at')::timestamptz then return false;
  end if;
  insert into conflicts (entity, key,
    loser_row_version, loser_updated_at, loser_origin, loser_seen_at, loser_correlation_id, loser_row,
    winner_row_version, winner_updated_at, winner_origin, winner_seen_at, winner_correlation_id, winner_deleted)
  values (p_entity, p_key,
    (loser ->> 'row_version')::bigint, (loser ->> 'updated_at')::timestamptz, loser ->> 'origin', (loser ->> 'seen_at')::timestamptz, loser ->> 'correlation_id',
    case when not loser_deleted then loser end,
    (winner ->> 'row_version')::bigint, (winner ->> 'updated_at')::timestamptz, winner ->> 'origin', (winner ->> 'seen_at')::timestamptz,
    winner ->> 'correlation_id', winner_deleted);
  return true;
end $$;

-- The columns of a row that r names and that can be written, as a list, and the same without the key's.
create function named_columns(rel regclass, r jsonb, pk text[], out cols text, out sets text)
language sql stable set search_path = '' as $$
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
         string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where a.attname <> all (pk))
    from pg_catalog.pg_attribute a where a.attrelid = rel and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and r ? a.attname::text $$;

-- Outcomes: applied | same (this very version is there) | stale (there is a newer one) | parked (stamp more than 60 s ahead of the clock)
-- | fenced (the caller's epoch is out of date) | differs (append-only row exists with other content). applied, same and stale end in
-- '+conflict' when this call recorded a true conflict, in this very transaction (a stale call can do so only while it tidies up a key that has
-- both a row and a tombstone: the greater pair stays, the other goes).
-- p_row holds column values by this schema's names; columns that it does not name keep their value, or get their default (so every NOT NULL
-- column without a default must be named, also for a row that exists). Generated columns are skipped. p_seen_at is ignored for append-only tables.
-- What is overwritten is locked and read first, or else must not exist (on conflict do nothing, and look again): so nothing is overwritten
-- unseen. That needs READ COMMITTED, where each statement sees what others committed while it waited.
create function apply(p_entity text, p_op text, p_key jsonb, p_row jsonb, p_updated_at timestamptz, p_origin text,
  p_row_version bigint, p_correlation_id text, p_seen_at timestamptz, p_epoch bigint default null)
returns text language plpgsql security definer set search_path from current set timezone = 'UTC' as $$
declare
  e entity; rel regclass; k jsonb; r jsonb; bad text; cols text; sets text; onpk text; key_sql text; at_key text; n bigint;
  outcome text; unwritten text; v jsonb; d jsonb; late jsonb; standing jsonb; row_counts boolean; wins boolean; wrote boolean := false; conflict boolean := false;
  rank constant integer := origin_rank(p_origin);
  mine constant jsonb := jsonb_build_object('updated_at', p_updated_at, 'origin', p_origin, 'row_version', p_row_version, 'seen_at', p_seen_at,
                                            'correlation_id', p_correlation_id);
  deleting constant boolean := p_op = 'delete';
  unburied constant text := 'not exists (select from tombstones d where d.entity = $2 and d.key = $3 and (d.updated_at, origin_rank(d.origin)) >= ($4, $5))';
begin
  if current_setting('transaction_isolation') <> 'read committed' then raise exception 'apply needs READ COMMITTED' using errcode = '25001'; end if;
  select * into e from entity x where x.entity = p_entity;
  if not found then raise exception 'unknown entity' using errcode = '22023'; end if;
  rel := format('%I', e.relation)::regclass;
  execute format('lock table %s in row exclusive mode', rel);      -- first the lock, then the epoch: a switch cannot fall in between
  select * into e from entity x where x.entity = p_entity;
  if p_epoch is not null and p_epoch < e.epoch then return 'fenced'; end if;
  if p_op not in ('upsert', 'delete') or p_op is null or rank is null or p_updated_at is null or not isfinite(p_updated_at)
     or not coalesce(isfinite(p_seen_at), true) or coalesce(p_row_version, 0) < 1 then
    raise exception 'op, origin, updated_at, seen_at or row_version is not valid' using errcode = '22023';
  end if;
  if deleting and e.kind = 'append_only' then raise exception 'append-only: rows are not deleted' using errcode = '22023'; end if;
  if p_updated_at > clock_timestamp() + interval '60 seconds' then return 'parked'; end if;

  select string_agg(quote_ident(y.name), ', ' order by y.place), string_agg(format('%L, %s', y.name, y.value), ', ' order by y.place),
         string_agg(format('t.%I = %s', y.name, y.value), ' and ' order by y.place) into onpk, key_sql, at_key
    from (select a.attname::text as name, array_position(e.key, a.attname::text) as place,
                 format('($1 ->> %L)::%s', a.attname, format_type(a.atttypid, a.atttypmod)) as value
            from pg_attribute a where a.attrelid = rel and a.attname = any (e.key)) y;
  execute format('select jsonb_build_object(%s)', key_sql) into k using p_key;
  if exists (select from jsonb_each(k) where value = 'null') then raise exception 'the key is not complete' using errcode = '22023'; end if;
  perform pg_advisory_xact_lock(hashtextextended(rel::oid::text || k::text, 0));      -- by the table: seven schemas may share a database
  perform set_config('banyan.apply', 'on', true);

  if not deleting then
    r := coalesce(p_row, '{}') || k || jsonb_build_object('correlation_id', p_correlation_id, 'row_version', p_row_version, 'origin', p_origin)
         || case when e.kind = 'versioned' then jsonb_build_object('updated_at', p_updated_at, 'seen_at', p_seen_at) else '{}'::jsonb end;
    select string_agg(x, ', ') into bad from jsonb_object_keys(r) x
      where not exists (select from pg_attribute a where a.attrelid = rel and a.attnum > 0 and not a.attisdropped and a.attname = x);
    if bad is not null then raise exception 'unknown column %', bad using errcode = '42703'; end if;
  end if;

  if e.kind = 'append_only' then
    select * into cols, sets from named_columns(rel, r, e.key);
    execute format('insert into %1$s (%2$s) select %2$s from jsonb_populate_record(null::%1$s, $1) on conflict (%3$s) do nothing',
                   rel, cols, onpk) using r;
    get diagnostics n = row_count;
    if n > 0 then outcome := 'applied';
    else
      execute format('select case when pick(to_jsonb(t), $2) = pick(to_jsonb(x), $2) then ''same'' else ''differs'' end '
                     'from jsonb_populate_record(null::%1$s, $1) x left join %1$s t on %2$s', rel, at_key)
        into outcome using r, (select string_agg(y, ',') from jsonb_object_keys(coalesce(p_row, '{}') || k) y);
    end if;
    perform set_config('banyan.apply', '', true);
    return outcome;
  end if;

  for attempt in 1 .. 20 loop
    -- The row's lock first, then the tombstone's, as users' writes take them. An insert that must wait for a row yet to be written holds no lock
    -- on the tombstone: it looks at it again afterwards.
    execute format('select to_jsonb(t) from %s t where %s for %s', rel, at_key, case when deleting then 'update' else 'no key update' end) into v using k;
    if v is null and not deleting then
      select to_jsonb(t) into d from tombstones t where t.entity = p_entity and t.key = k;
    else
      select to_jsonb(t) into d from tombstones t where t.entity = p_entity and t.key = k for update;
    end if;
    row_counts := v is not null and (d is null or precedes(d, v));
    standing := case when row_counts then v else d end;
    wins := coalesce(precedes(standing, mine), true);
    unwritten := case when row_counts is not distinct from deleting or standing ->> 'origin' <> p_origin
                             or (standing ->> 'updated_at')::timestamptz <> p_updated_at then 'stale'
                      when wrote then 'applied' else 'same' end;
    if not wins and (v is null or d is null) then                    -- a repeat, or late: nothing to write, and nothing to tidy up
      outcome := unwritten;
      exit;
    end if;

    if deleting then
      if wins then
        insert into tombstones as t (entity, key, updated_at, origin, row_version, correlation_id, seen_at)
        values (p_entity, k, p_updated_at, p_origin, p_row_version, p_correlation_id, p_seen_at)
        on conflict (entity, key) do update set updated_at = excluded.updated_at, origin = excluded.origin, row_version = excluded.row_version,
          correlation_id = excluded.correlation_id, seen_at = excluded.seen_at, recorded_at = clock_timestamp()
          where d is not null and (t.updated_at, origin_rank(t.origin)) < (excluded.updated_at, origin_rank(excluded.origin));
        get diagnostics n = row_count;
        if n = 0 then continue; end if;                              -- a tombstone that has only just come: look again
      end if;
      execute format('delete from %s t where %s and (t.updated_at, origin_rank(t.origin)) < ($2, $3) and $4', rel, at_key)
        using k, p_updated_at, rank, v is not null;                  -- never a row that came after the look above: it would go unrecorded
    elsif wins then
      if cols is null then select * into cols, sets from named_columns(rel, r, e.key); end if;
      execute case when v is null
        then format('insert into %1$s (%2$s) select %2$s from jsonb_populate_record(null::%1$s, $1) where %3$s on conflict (%4$s) do nothing',
                    rel, cols, unburied, onpk)
        else format('update %1$s t set (%2$s) = (select %2$s from jsonb_populate_record(null::%1$s, $1)) where %3$s '
                    'and (t.updated_at, origin_rank(t.origin)) < ($4, $5) and %4$s', rel, sets, at_key, unburied) end
        using r, p_entity, k, p_updated_at, rank;
      get diagnostics n = row_count;
      if n = 0 then continue; end if;                                -- a row or a tombstone that has only just come: look again
    end if;

    if v is not null and d is not null then                          -- row and tombstone of one key: the lesser has lost to the greater
      if row_counts then conflict := record_conflict(p_entity, k, d, true, v, false) or conflict;
      else conflict := record_conflict(p_entity, k, v, false, d, true, true) or conflict; end if;
    end if;
    if wins then
      wrote := true;
      if row_counts then conflict := record_conflict(p_entity, k, v, false, mine, deleting) or conflict;
      elsif d is not null and (v is not null or deleting) then conflict := record_conflict(p_entity, k, d, true, mine, deleting) or conflict; end if;
    elsif v is not null and not row_counts then
      execute format('delete from %s t where %s and (t.updated_at, origin_rank(t.origin)) <= ($2, $3)', rel, at_key)
        using k, (d ->> 'updated_at')::timestamptz, origin_rank(d ->> 'origin');
    elsif row_counts and d is not null then
      delete from tombstones t where t.entity = p_entity and t.key = k;
    end if;

    if wrote and wins then                                           -- new statements: what was committed while the write above waited
      if deleting then
        execute format('select to_jsonb(t) from %s t where %s', rel, at_key) into late using k;
        if late is not null then continue; end if;
      else
        delete from tombstones t where t.entity = p_entity and t.key = k
          and (t.updated_at, origin_rank(t.origin)) < (p_updated_at, rank) returning to_jsonb(t) into late;
        if late is not null and v is null then conflict := record_conflict(p_entity, k, late, true, mine, false) or conflict; end if;
        if exists (select from tombstones t where t.entity = p_entity and t.key = k) then      -- no resurrection: a newer delete was under way
          execute format('delete from %s t where %s', rel, at_key) using k;
          wrote := false; row_counts := false; d := null;
        end if;
      end if;
      outcome := case when wrote then 'applied' else 'stale' end;
    else
      outcome := unwritten;
    end if;
    exit;
  end loop;
  if outcome is null then raise exception 'the key is too busy' using errcode = '40001'; end if;
  perform set_config('banyan.apply', '', true);
  return outcome || case when conflict then '+conflict' else '' end;
end $$;

create function apply_item(i jsonb) returns jsonb language plpgsql set search_path from current as $$
begin
  if not i ? 'seen_at' and exists (select from entity x where x.entity = i ->> 'entity' and x.kind = 'versioned') then
    raise exception 'seen_at is missing' using errcode = '22023';      -- a sender that forgets it would make a conflict of every overwritten row
  end if;
  return jsonb_build_object('outcome', apply(i ->> 'entity', i ->> 'op', i -> 'key', i -> 'row', (i ->> 'updated_at')::timestamptz,
    i ->> 'origin', (i ->> 'row_version')::bigint, i ->> 'correlation_id', (i ->> 'seen_at')::timestamptz, (i ->> 'epoch')::bigint));
end $$;

-- Many items in one call; the answers come in the same order. An item that fails answers {"outcome":"error","code":SQLSTATE}: no text, texts
-- can hold row values. items: [{"entity","op","key","row","updated_at","origin","row_version","correlation_id","seen_at","epoch"}].
-- Each item stands alone, and uniqueness is checked with it. `together`: all or none, and uniqueness is checked behind the last one,
-- for values that change hands.
create function apply_batch(items jsonb, together boolean default false) returns jsonb
language plpgsql security definer set search_path from current set timezone = 'UTC' as $$
declare i jsonb; answers jsonb := '[]';
begin
  if jsonb_typeof(items) is distinct from 'array' or jsonb_array_length(items) > 500 then
    raise exception 'items must be an array of at most 500' using errcode = '22023';
  end if;
  if together then
    begin
      for i in select value from jsonb_array_elements(items) with ordinality order by ordinality loop
        answers := answers || apply_item(i);
      end loop;
      set constraints all immediate;
    exception when others then
      select jsonb_agg(jsonb_build_object('outcome', 'error', 'code', sqlstate)) into answers from jsonb_array_elements(items);
    end;
  else
    set constraints all immediate;
    for i in select value from jsonb_array_elements(items) with ordinality order by ordinality loop
      begin
        answers := answers || apply_item(i);
      exception when others then
        answers := answers || jsonb_build_object('outcome', 'error', 'code', sqlstate);
      end;
    end loop;
  end if;
  set constraints all deferred;
  return answers;
end $$;

-- The cure of a stamp that lies in the future (parked on the other side): the one write that may lower updated_at, hence compare-and-set on the
-- version seen. A new version of this side over the same content, with its event; floor = the other side's updated_at of the key (null: it has none).
-- Answers {"outcome":"restamped", and the new stamps}, or {"outcome":"changed"}: another version is there now, or none, or row and tombstone both.
create function restamp(p_entity text, p_key jsonb, p_expected_updated_at timestamptz, p_expected_origin text, p_floor timestamptz)
returns jsonb language plpgsql security definer set search_path from current set timezone = 'UTC' as $$
declare
  e entity; rel regclass; k jsonb; at_key text; v jsonb; d jsonb; s timestamptz; row_is boolean; seen timestamptz; version bigint;
  cid constant text := correlation();
begin
  if current_setting('transaction_isolation') <> 'read committed' then raise exception 'restamp needs READ COMMITTED' using errcode = '25001'; end if;
  select * into e from entity x where x.entity = p_entity and x.kind = 'versioned';
  if not found then raise exception 'no versioned entity of that name' using errcode = '22023'; end if;
  if p_expected_updated_at is null or origin_rank(p_expected_origin) is null or not coalesce(isfinite(p_floor), true)
     or p_floor > clock_timestamp() + interval '60 seconds' then          -- a floor that is itself parked: that side's stamp is cured first
    raise exception 'expected stamp, origin or floor is not valid' using errcode = '22023';
  end if;
  rel := format('%I', e.relation)::regclass;
  execute format('lock table %s in row exclusive mode', rel);
  execute format('select pick(to_jsonb(x), %L) from jsonb_populate_record(null::%s, $1) x', array_to_string(e.key, ','), rel) into k using p_key;
  select string_agg(format('t.%1$I = (jsonb_populate_record(null::%2$s, $1)).%1$I', x, rel), ' and ') into at_key from unnest(e.key) x;
  perform pg_advisory_xact_lock(hashtextextended(rel::oid::text || k::text, 0));
  execute format('select to_jsonb(t) from %s t where %s for update', rel, at_key) into v using k;
  select to_jsonb(t) into d from tombstones t where t.entity = p_entity and t.key = k for update;
  row_is := v is not null;
  if row_is = (d is not null) then return '{"outcome":"changed"}'; end if;
  v := coalesce(v, d);
  if (v ->> 'updated_at')::timestamptz <> p_expected_updated_at or v ->> 'origin' <> p_expected_origin then return '{"outcome":"changed"}'; end if;
  s := greatest(clock_timestamp(), p_floor + interval '1 microsecond');
  seen := case when v ->> 'origin' = 'service' then (v ->> 'seen_at')::timestamptz else (v ->> 'updated_at')::timestamptz end;
  version := (v ->> 'row_version')::bigint + 1;
  if row_is then
    perform set_config('banyan.apply', 'on', true);
    execute format('update %s t set updated_at = $2, row_version = $3, origin = ''service'', correlation_id = $4, seen_at = $5 where %s', rel, at_key)
      using k, s, version, cid, seen;
    perform set_config('banyan.apply', '', true);
  else
    update tombstones t set updated_at = s, row_version = version, origin = 'service', correlation_id = cid, seen_at = seen,
      recorded_at = clock_timestamp() where t.entity = p_entity and t.key = k;
  end if;
  insert into outbox (event_type, entity, key, updated_at, origin, row_version, seen_at, correlation_id)
  values ('banyan.' || p_entity || case when row_is then '.updated' else '.deleted' end, p_entity, k, s, 'service', version, seen, cid);
  return jsonb_build_object('outcome', 'restamped', 'updated_at', s, 'origin', 'service', 'row_version', version, 'correlation_id', cid, 'seen_at', seen);
end $$;

create function purge_tombstones(keep interval) returns bigint language plpgsql security definer set search_path from current as $$
declare n bigint;
begin
  if keep is null or keep < interval '30 days' then raise exception 'tombstones are kept at least 30 days' using errcode = '22023'; end if;
  delete from tombstones where recorded_at < clock_timestamp() - keep;
  get diagnostics n = row_count;
  return n;
end $$;

revoke execute on function record_conflict(text, jsonb, jsonb, boolean, jsonb, boolean, boolean), named_columns(regclass, jsonb, text[]),
  apply(text, text, jsonb, jsonb, timestamptz, text, bigint, text, timestamptz, bigint), apply_item(jsonb), apply_batch(jsonb, boolean),
  restamp(text, jsonb, timestamptz, text, timestamptz), purge_tombstones(interval) from public;
grant execute on function apply(text, text, jsonb, jsonb, timestamptz, text, bigint, text, timestamptz, bigint), apply_batch(jsonb, boolean) to banyan_apply;
grant execute on function restamp(text, jsonb, timestamptz, text, timestamptz), purge_tombstones(interval) to banyan_control;
