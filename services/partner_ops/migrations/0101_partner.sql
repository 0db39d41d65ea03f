-- migrate:up
create type checkin_condition as enum ('intact', 'damaged', 'quarantined');
create type label_status as enum ('queued', 'printing', 'printed', 'failed', 'cancelled');

create table checkin (
  id uuid primary key,
  partner_id uuid not null,
  site_code text not null,
  received_by uuid,
  sku text not null,
  lot_number text,
  expires_on date,
  quantity integer not null check (quantity >= 0),
  condition checkin_condition not null,
  notes text,
  received_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz
);
create index on checkin (received_at desc, id);
create index on checkin (partner_id, received_at desc, id);
call protect('checkin', 'versioned', 'id');

create table label (
  id bigint primary key,
  partner_id uuid not null,
  site_code text not null,
  lab_order_id uuid,
  kind text not null,
  payload jsonb not null,
  status label_status not null,
  attempts integer not null,
  claimed_by text,
  claimed_until timestamptz,
  printed_at timestamptz,
  last_error text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz
);
create index on label (partner_id, id);
create index on label (status, id) where status in ('queued', 'printing');
call protect('label', 'versioned', 'id');

-- Texts of a key sort by their bytes, as everywhere in v2: databases do not agree on any other order of text.
create table stock_level (
  partner_id uuid not null,
  site_code text collate "C" not null,
  sku text collate "C" not null,
  on_hand integer not null,
  reserved integer not null check (reserved >= 0),
  reorder_point integer,
  counted_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  primary key (partner_id, site_code, sku)
);
call protect('stock_level', 'versioned', 'partner_id', 'site_code', 'sku');

create policy visible on checkin for select to banyan_partner_ops
  using (partner_id = (select caller_partner()) or (select caller_role()) in ('compliance', 'admin'));
create policy visible on label for select to banyan_partner_ops
  using (partner_id = (select caller_partner()) or (select caller_role()) in ('compliance', 'admin'));
create policy visible on stock_level for select to banyan_partner_ops
  using (partner_id = (select caller_partner()) or (select caller_role()) in ('compliance', 'admin'));
