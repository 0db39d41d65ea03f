-- migrate:up
create type lab_order_status as enum ('draft', 'ordered', 'sent', 'collected', 'in_progress', 'resulted', 'cancelled', 'failed');

create table lab_order (
  id uuid primary key,
  order_number bigint not null,
  submission_id uuid not null,
  requester_id uuid,
  test_code text not null,
  test_name text,
  priority smallint not null check (priority between 1 and 5),
  status lab_order_status not null,
  vendor text,
  vendor_reference text,
  vendor_status text,
  vendor_payload jsonb,
  integration_error text,
  price_minor bigint,
  currency text not null,
  tags text[] not null,
  ordered_at timestamptz,
  collected_at timestamptz,
  resulted_at timestamptz,
  result_summary text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  -- At commit: applies come in any order, and a number may move from one row to another.
  unique (order_number) deferrable initially deferred,
  unique (vendor, vendor_reference) deferrable initially deferred
);
create index on lab_order (created_at desc, id);
create index on lab_order (submission_id);
create index on lab_order (status, created_at desc, id);
call protect('lab_order', 'versioned', 'id');

create policy visible on lab_order for select to banyan_diagnostics
  using ((select caller_is_staff()) or submission_id in (select visible_submissions()));

create table lab_order_event (
  id bigint primary key,
  lab_order_id uuid not null references lab_order (id) on delete restrict,
  kind text not null,
  from_status lab_order_status,
  to_status lab_order_status,
  actor_id uuid,
  actor_type text not null,
  payload jsonb not null,
  occurred_at timestamptz not null,
  created_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text
);
create index on lab_order_event (lab_order_id, occurred_at, id);
call protect('lab_order_event', 'append_only', 'id');

-- An event is seen by whoever sees its order: the order's own policy decides.
create policy visible on lab_order_event for select to banyan_diagnostics
  using ((select caller_is_staff()) or exists (select from lab_order o where o.id = lab_order_id));
