-- Who waits for an order's next state is told which order has changed: its key, and nothing else. An apply counts as well.
-- migrate:up
create function told() returns trigger language plpgsql set search_path = '' as $$
begin
  perform pg_notify(tg_table_schema || '.' || tg_table_name, old.id::text);
  return null;
end $$;
create trigger zz_told after update or delete on lab_order for each row execute function told();
