-- Who may write, as legacy's policies say it.
-- migrate:up
create policy write_insert on payout for insert to banyan_finance with check ((select caller_role()) in ('finance', 'admin'));
create policy write_update on payout for update to banyan_finance
  using ((select caller_role()) in ('finance', 'admin')) with check ((select caller_role()) in ('finance', 'admin'));
create policy write_delete on payout for delete to banyan_finance using ((select caller_role()) in ('finance', 'admin'));
