-- A user's booking meets every appointment of its clinician, marked ones as well; the constraint alone would pass over those.
-- migrate:up
select set_config('search_path', current_schema() || ', pg_temp', true);

-- Does an appointment that came from elsewhere and carries the mark lie in these times? Requests may not see all of a clinician's rows.
create function meets_nonconforming(own uuid, clinician uuid, begins timestamptz, ends timestamptz) returns boolean
  language sql stable security definer set search_path from current
begin atomic
  select exists (select from appointment a
    where a.clinician_id = clinician and a.id <> own and a.status in ('booked', 'arrived') and a.nonconforming
      and a.starts_at < ends and a.ends_at > begins);
end;
revoke execute on function meets_nonconforming(uuid, uuid, timestamptz, timestamptz) from public;
grant execute on function meets_nonconforming(uuid, uuid, timestamptz, timestamptz) to banyan_scheduling;

-- As before for applies (0101_appointment.sql). A user's change of time, clinician or state takes the mark off, so that the constraint judges
-- the row like any other; a change of anything else leaves a marked row as it is.
create or replace function mark_double_booking() returns trigger language plpgsql set search_path from current as $$
begin
  if current_user = 'banyan_scheduling' then
    if tg_op = 'UPDATE' and (new.clinician_id, new.status, new.starts_at, new.ends_at)
                            is not distinct from (old.clinician_id, old.status, old.starts_at, old.ends_at) then return new; end if;
    new.nonconforming := false;
    if new.status in ('booked', 'arrived') and meets_nonconforming(new.id, new.clinician_id, new.starts_at, new.ends_at) then
      raise exception 'the clinician is booked' using errcode = '23P01', constraint = 'no_double_booking';
    end if;
    return new;
  end if;
  new.nonconforming := new.clinician_id is not null and new.status in ('booked', 'arrived') and exists (
    select from appointment a
    where a.clinician_id = new.clinician_id and a.id <> new.id and a.status in ('booked', 'arrived') and not a.nonconforming
      and tstzrange(a.starts_at, a.ends_at) && tstzrange(new.starts_at, new.ends_at));
  return new;
end $$;
