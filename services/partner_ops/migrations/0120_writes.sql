-- Who may write, as legacy's policies say it: a partner, of its own.
-- migrate:up
create policy own_insert on checkin for insert to banyan_partner_ops with check (partner_id = (select caller_partner()));
create policy own_update on checkin for update to banyan_partner_ops
  using (partner_id = (select caller_partner())) with check (partner_id = (select caller_partner()));
create policy own_insert on label for insert to banyan_partner_ops with check (partner_id = (select caller_partner()));
create policy own_update on label for update to banyan_partner_ops
  using (partner_id = (select caller_partner())) with check (partner_id = (select caller_partner()));
create policy own_insert on stock_level for insert to banyan_partner_ops with check (partner_id = (select caller_partner()));
create policy own_update on stock_level for update to banyan_partner_ops
  using (partner_id = (select caller_partner())) with check (partner_id = (select caller_partner()));
