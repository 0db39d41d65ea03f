-- The outbox for those who publish it (migration/relay.py): they read it, mark what is published, and delete what is old.
-- A relay takes what is not published in the order of the rows' own stamps, however much there is: hence the index.
-- migrate:up
drop index outbox_transaction_id_idx;
create index outbox_unpublished on outbox (updated_at, id) where published_at is null;
create index outbox_published on outbox (published_at) where published_at is not null;
grant select, update (published_at), delete on outbox to banyan_apply;
