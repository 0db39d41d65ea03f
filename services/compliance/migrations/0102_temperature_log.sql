-- migrate:up
create table temperature_log (
  id bigint primary key,
  partner_id uuid not null,
  site_code text not null,
  device_id text not null,
  measured_at timestamptz not null,
  temperature_c numeric not null,
  humidity_pct real check (humidity_pct between 0 and 100),
  is_excursion boolean not null,
  battery_mv integer,
  raw jsonb,
  created_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  unique (device_id, measured_at)
);
create index on temperature_log (measured_at desc, id);
create index on temperature_log (partner_id, measured_at desc, id);
call protect('temperature_log', 'append_only', 'id');

create policy visible on temperature_log for select to banyan_compliance
  using (partner_id = (select caller_partner()) or (select caller_role()) in ('compliance', 'admin'));
