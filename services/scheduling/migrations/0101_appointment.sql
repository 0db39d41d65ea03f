-- migrate:up
create type appointment_status as enum ('proposed', 'booked', 'arrived', 'fulfilled', 'cancelled', 'no_show');
create type appointment_modality as enum ('video', 'phone', 'in_person');
create type appointment_request_status as enum ('pending', 'confirmed', 'declined', 'expired', 'cancelled');
-- Equality inside a GiST index without btree_gist: the range from a uuid to itself (decisions.md 25).
create type uuidrange as range (subtype = uuid);

create table appointment (
  id uuid primary key,
  submission_id uuid not null,
  clinician_id uuid,
  partner_id uuid,
  status appointment_status not null,
  modality appointment_modality not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  time_zone text not null,
  location text,
  reason text,
  cancellation_reason text,
  metadata jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  nonconforming boolean not null default false,
  constraint appointment_times check (ends_at > starts_at),
  -- A clinician is in one place at a time. Without a clinician the range would be unbounded and meet everybody.
  constraint no_double_booking exclude using gist (uuidrange(clinician_id, clinician_id, '[]') with &&, tstzrange(starts_at, ends_at) with &&)
    where (clinician_id is not null and status in ('booked', 'arrived') and not nonconforming)
);
create index on appointment (starts_at desc, id);
create index on appointment (submission_id);
create index on appointment (clinician_id, starts_at);
create index on appointment (partner_id);
call protect('appointment', 'versioned', 'id');

create policy visible on appointment for select to banyan_scheduling
  using ((select caller_is_staff()) or clinician_id = (select caller_id()) or partner_id = (select caller_partner())
         or submission_id in (select visible_submissions()));

create table appointment_request (
  id uuid primary key,
  submission_id uuid not null,
  appointment_id uuid references appointment (id) on delete set null,
  requester_id uuid,
  status appointment_request_status not null,
  preferred_slots jsonb not null,
  not_before timestamptz,
  not_after timestamptz,
  notes text,
  idempotency_key text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  -- Checked at commit, here and wherever else a value may move from one row to another: applies come in any order.
  unique (idempotency_key) deferrable initially deferred
);
create index on appointment_request (created_at desc, id);
create index on appointment_request (submission_id);
create index on appointment_request (appointment_id);
call protect('appointment_request', 'versioned', 'id');

create policy visible on appointment_request for select to banyan_scheduling
  using ((select caller_is_staff()) or submission_id in (select visible_submissions()));

-- Domain rules bind users, never applies (decisions.md 25): a row that comes from elsewhere and overlaps another is stored and marked.
-- Of two that overlap the later applied one carries the mark, until it is applied again without an overlap.
create function mark_double_booking() returns trigger language plpgsql set search_path from current as $$
begin
  if current_user = 'banyan_scheduling' then return new; end if;
  new.nonconforming := new.clinician_id is not null and new.status in ('booked', 'arrived') and exists (
    select from appointment a
    where a.clinician_id = new.clinician_id and a.id <> new.id and a.status in ('booked', 'arrived') and not a.nonconforming
      and tstzrange(a.starts_at, a.ends_at) && tstzrange(new.starts_at, new.ends_at));
  return new;
end $$;
create trigger mark_double_booking before insert or update on appointment for each row execute function mark_double_booking();

-- When a clinician can be booked, in local time; legacy has no such thing. Filled and read with the slots (decisions.md 9).
create table working_hours (
  clinician_id uuid not null,
  weekday smallint not null check (weekday between 1 and 7),      -- ISO: 1 is Monday
  opens time not null,
  closes time not null,
  time_zone text not null,
  primary key (clinician_id, weekday, opens),
  check (closes > opens)
);
