-- Who works on a request, for how long; and requests that nobody answered in time.
-- migrate:up
select set_config('search_path', current_schema() || ', pg_temp', true);

-- Legacy has no such thing, so a claim is no part of the request's row: it leaves no version, no event, and never moves.
create table appointment_request_claim (
  request_id uuid primary key references appointment_request (id) on delete cascade,
  claimed_by uuid not null,
  claimed_until timestamptz not null
);
alter table appointment_request_claim enable row level security;
grant select, insert, update, delete on appointment_request_claim to banyan_scheduling;
create policy staff on appointment_request_claim to banyan_scheduling
  using ((select caller_is_staff())) with check ((select caller_is_staff()) and claimed_by = (select caller_id()));

create index on appointment_request (not_after) where status = 'pending';

-- The service itself lets requests expire: `system` is in no token.
create function caller_is_request_expiry() returns boolean
  language sql stable parallel safe set search_path = ''
  return coalesce(caller() ->> 'system', '') = 'request_expiry';
create policy expiry_sees on appointment_request for select to banyan_scheduling using ((select caller_is_request_expiry()));
create policy expire on appointment_request for update to banyan_scheduling
  using ((select caller_is_request_expiry()) and status = 'pending' and not_after < clock_timestamp())
  with check ((select caller_is_request_expiry()) and status = 'expired');
create policy expiry_clears on appointment_request_claim to banyan_scheduling
  using ((select caller_is_request_expiry()) and claimed_until < clock_timestamp()) with check (false);
