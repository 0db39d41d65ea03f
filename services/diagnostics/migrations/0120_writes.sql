-- Who may write, as legacy's policies say it. A laboratory that has signed its message is no user: `system` is in no token, the
-- service itself says it.
-- migrate:up
create function caller_is_laboratory() returns boolean
  language sql stable parallel safe set search_path = ''
  return coalesce(caller() ->> 'system', '') = 'laboratory';

create policy order_as_staff on lab_order for insert to banyan_diagnostics
  with check ((select caller_is_staff()) and requester_id = (select caller_id()));
create policy change_as_staff on lab_order for update to banyan_diagnostics
  using ((select caller_is_staff())) with check ((select caller_is_staff()));
create policy laboratory_sees on lab_order for select to banyan_diagnostics using ((select caller_is_laboratory()));
create policy laboratory_changes on lab_order for update to banyan_diagnostics
  using ((select caller_is_laboratory())) with check ((select caller_is_laboratory()));

create policy note_as_staff on lab_order_event for insert to banyan_diagnostics with check ((select caller_is_staff()));
create policy laboratory_notes on lab_order_event for insert to banyan_diagnostics with check ((select caller_is_laboratory()));
create policy laboratory_sees_events on lab_order_event for select to banyan_diagnostics using ((select caller_is_laboratory()));
