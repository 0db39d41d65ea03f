-- A repeat looks for the row of every attempt before it, not of the latest alone: that one may have been lost as well, and each
-- bears the correlation id of its own request.
-- migrate:up
alter table control.idempotency add column earlier_ids text[] not null default '{}';   -- correlation ids of attempts before the latest

-- migrate:down
alter table control.idempotency drop column earlier_ids;
