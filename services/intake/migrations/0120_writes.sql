-- Who may write, as legacy's policies say it.
-- migrate:up
create policy begin_own on submission for insert to banyan_intake with check (patient_user_id = (select caller_id()));
create policy change_own on submission for update to banyan_intake
  using (patient_user_id = (select caller_id()) and status in ('draft', 'submitted')) with check (patient_user_id = (select caller_id()));
create policy change_as_staff on submission for update to banyan_intake using ((select caller_is_staff())) with check ((select caller_is_staff()));
