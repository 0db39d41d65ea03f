-- For services whose keys or numbers come from a sequence: blocks of ids leased from the other side's sequence, so that the two
-- sides never mint the same id (decisions.md 27). Nobody reads or writes it before the first write does.
-- migrate:up
create table id_leases (
  entity text not null,
  column_name text not null,
  first_id bigint not null,
  last_id bigint not null check (last_id >= first_id),
  next_id bigint not null check (next_id between first_id and last_id + 1),
  leased_at timestamptz not null default clock_timestamp(),
  primary key (entity, column_name, first_id)
);
