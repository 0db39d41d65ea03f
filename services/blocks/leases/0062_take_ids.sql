-- A process takes a handful of leased ids at a time, in a transaction of its own: no writer waits for another one's commit, and
-- what a process had taken when it died is a gap in the numbers.
-- migrate:up
create function take_ids(p_entity text, p_column text, n integer, out first_id bigint, out last_id bigint)
  language plpgsql security definer set search_path from current as $$
declare l id_leases;
begin
  if n is null or n not between 1 and 1000 then raise exception 'n must lie between 1 and 1000' using errcode = '22023'; end if;
  select * into l from id_leases x
    where x.entity = p_entity and x.column_name = p_column and x.next_id <= x.last_id order by x.first_id limit 1 for update;
  if not found then return; end if;        -- nothing left: both are null
  first_id := l.next_id;
  last_id := least(l.next_id + n - 1, l.last_id);
  update id_leases x set next_id = take_ids.last_id + 1 where x.entity = l.entity and x.column_name = l.column_name and x.first_id = l.first_id;
end $$;

-- How many are left, and a new block of them: for the worker that leases from the other side.
create function ids_left(p_entity text, p_column text) returns bigint
  language sql stable security definer set search_path from current
  return (select coalesce(sum(x.last_id - x.next_id + 1), 0) from id_leases x where x.entity = p_entity and x.column_name = p_column);
create function add_ids(p_entity text, p_column text, p_first bigint, p_last bigint) returns void
  language sql security definer set search_path from current
begin atomic
  insert into id_leases (entity, column_name, first_id, last_id, next_id) values (p_entity, p_column, p_first, p_last, p_first);
  delete from id_leases x where x.entity = p_entity and x.column_name = p_column and x.next_id > x.last_id;
end;

revoke execute on function take_ids(text, text, integer), ids_left(text, text), add_ids(text, text, bigint, bigint) from public;
grant execute on function ids_left(text, text), add_ids(text, text, bigint, bigint) to banyan_apply;
do $$ begin execute format('grant execute on function take_ids(text, text, integer) to %I', 'banyan_' || current_schema()); end $$;
