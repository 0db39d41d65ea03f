-- Who may write, as legacy's policies say it.
-- migrate:up
create policy write_insert on appointment for insert to banyan_scheduling
  with check ((select caller_is_staff()) or clinician_id = (select caller_id()));
create policy write_update on appointment for update to banyan_scheduling
  using ((select caller_is_staff()) or clinician_id = (select caller_id())) with check ((select caller_is_staff()) or clinician_id = (select caller_id()));
create policy write_delete on appointment for delete to banyan_scheduling
  using ((select caller_is_staff()) or clinician_id = (select caller_id()));

create policy ask on appointment_request for insert to banyan_scheduling
  with check (requester_id = (select caller_id()) and submission_id in (select visible_submissions()));
create policy answer_or_cancel on appointment_request for update to banyan_scheduling
  using ((select caller_is_staff()) or (requester_id = (select caller_id()) and status = 'pending'))
  with check ((select caller_is_staff()) or status in ('pending', 'cancelled'));
