-- Who may write, as legacy's policies say it.
-- migrate:up
create policy write_insert on action_plan for insert to banyan_care_plans with check ((select caller_role()) in ('clinician', 'admin'));
create policy write_update on action_plan for update to banyan_care_plans
  using ((select caller_role()) in ('clinician', 'admin')) with check ((select caller_role()) in ('clinician', 'admin'));
create policy write_delete on action_plan for delete to banyan_care_plans using ((select caller_role()) in ('clinician', 'admin'));
