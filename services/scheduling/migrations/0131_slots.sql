-- Working hours are read to find free times; they are the clinic's, not a patient's, so whoever is signed in may know them.
-- migrate:up
select set_config('search_path', current_schema() || ', pg_temp', true);

grant select on working_hours to banyan_scheduling;
-- Two spans of one day that overlap would offer a time twice. In seconds from Monday's midnight; 24:00 touches the next day.
alter table working_hours add constraint working_hours_overlap exclude using gist (
  uuidrange(clinician_id, clinician_id, '[]') with &&,
  int4range(weekday * 86400 + extract(epoch from opens)::integer, weekday * 86400 + extract(epoch from closes)::integer) with &&);

-- When a clinician cannot be booked, and nothing else about it: whoever asks for slots sees few of the appointments themselves.
create function busy(clinician uuid, low timestamptz, high timestamptz) returns table (starts_at timestamptz, ends_at timestamptz)
  language sql stable security definer set search_path from current
begin atomic
  select a.starts_at, a.ends_at from appointment a
  where a.clinician_id = clinician and a.status in ('booked', 'arrived') and a.starts_at < high and a.ends_at > low;
end;
revoke execute on function busy(uuid, timestamptz, timestamptz) from public;
grant execute on function busy(uuid, timestamptz, timestamptz) to banyan_scheduling;
