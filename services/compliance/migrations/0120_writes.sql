-- Who may write, as legacy's policies say it.
-- migrate:up
create policy write_insert on task for insert to banyan_compliance
  with check ((select caller_role()) in ('compliance', 'admin') or assignee_id = (select caller_id()));
create policy write_update on task for update to banyan_compliance
  using ((select caller_role()) in ('compliance', 'admin') or assignee_id = (select caller_id()))
  with check ((select caller_role()) in ('compliance', 'admin') or assignee_id = (select caller_id()));
create policy write_delete on task for delete to banyan_compliance
  using ((select caller_role()) in ('compliance', 'admin') or assignee_id = (select caller_id()));

create policy measure on temperature_log for insert to banyan_compliance with check (partner_id = (select caller_partner()));

-- A bad reading raises a task, whoever sent it: the service itself says so, `system` is in no token.
create function caller_is_cold_chain() returns boolean
  language sql stable parallel safe set search_path = ''
  return coalesce(caller() ->> 'system', '') = 'cold_chain';
create policy cold_chain_sees on task for select to banyan_compliance using ((select caller_is_cold_chain()));
create policy cold_chain_raises on task for insert to banyan_compliance
  with check ((select caller_is_cold_chain()) and task_type = 'temperature_excursion');
