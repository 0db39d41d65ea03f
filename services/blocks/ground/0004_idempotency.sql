-- What a repeated request gets back, committed with the write that it belongs to. There is no record of a write that is under
-- way: its transaction holds an advisory lock on the key, which dies with its owner, so no repeat ever waits for a dead one.
-- Scope, key and fingerprint are keyed hashes, the answer is sealed: nothing shows who wrote what.
-- migrate:up
drop table idempotency;
create table idempotency (
  scope text not null,                     -- of user and route
  key text not null,
  fingerprint text not null,
  status smallint not null,
  answer bytea not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (scope, key)
);
create index on idempotency (recorded_at);
do $$ begin execute format('grant select, insert on idempotency to %I', 'banyan_' || current_schema()); end $$;

-- Records that are older than the published expiry. At least a day: a client repeats for that long.
create function purge_idempotency(keep interval) returns bigint
  language plpgsql security definer set search_path from current as $$
declare n bigint;
begin
  if keep is null or keep < interval '24 hours' then raise exception 'idempotency records are kept at least a day' using errcode = '22023'; end if;
  delete from idempotency where recorded_at < clock_timestamp() - keep;
  get diagnostics n = row_count;
  return n;
end $$;
revoke execute on function purge_idempotency(interval) from public;
grant execute on function purge_idempotency(interval) to banyan_apply;
