-- migrate:up
create type payout_status as enum ('draft', 'approved', 'sent', 'paid', 'failed', 'reversed');
-- Equality inside a GiST index without btree_gist: the range from a uuid to itself (decisions.md 25).
create type uuidrange as range (subtype = uuid);

create table payout (
  id uuid primary key,
  partner_id uuid not null,
  period_start date not null,
  period_end date not null,
  gross_minor bigint not null,
  fee_minor bigint not null,
  net_minor bigint not null generated always as (gross_minor - fee_minor) stored,
  currency text not null,
  status payout_status not null,
  remittance_reference text,
  paid_at timestamptz,
  lines jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  nonconforming boolean not null default false,
  constraint payout_period check (period_end >= period_start),
  -- At commit: applies come in any order, and a reference may move from one row to another.
  unique (remittance_reference) deferrable initially deferred,
  unique (partner_id, period_start, period_end) deferrable initially deferred,
  -- Nobody is paid twice for a day. What failed or was reversed has paid nothing.
  constraint no_overlapping_period exclude using gist (uuidrange(partner_id, partner_id, '[]') with &&, daterange(period_start, period_end, '[]') with &&)
    where (status not in ('failed', 'reversed') and not nonconforming)
);
create index on payout (period_start desc, id);
create index on payout (partner_id);
call protect('payout', 'versioned', 'id');

create policy visible on payout for select to banyan_finance
  using ((select caller_role()) in ('finance', 'admin') or partner_id = (select caller_partner()));

-- Domain rules bind users, never applies (decisions.md 25): a row that comes from elsewhere and overlaps another is stored and marked.
-- Of two that overlap the later applied one carries the mark, until it is applied again without an overlap.
create function mark_overlapping_period() returns trigger language plpgsql set search_path from current as $$
begin
  if current_user = 'banyan_finance' then return new; end if;
  new.nonconforming := new.status not in ('failed', 'reversed') and exists (
    select from payout p
    where p.partner_id = new.partner_id and p.id <> new.id and p.status not in ('failed', 'reversed') and not p.nonconforming
      and daterange(p.period_start, p.period_end, '[]') && daterange(new.period_start, new.period_end, '[]'));
  return new;
end $$;
create trigger mark_overlapping_period before insert or update on payout for each row execute function mark_overlapping_period();
