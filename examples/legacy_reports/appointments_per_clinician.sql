-- Appointments of each clinician: those to come, those that were kept, missed or called off, and the hours to come.
select
  clinician_id,
  count(*) filter (where ends_at >= now() and status in ('proposed', 'booked', 'arrived')) as to_come,
  count(*) filter (where status = 'fulfilled') as kept,
  count(*) filter (where status = 'noshow') as missed,
  count(*) filter (where status = 'cancelled') as called_off,
  coalesce(
    sum(extract(epoch from ends_at - starts_at) / 3600)
      filter (where ends_at >= now() and status in ('proposed', 'booked', 'arrived')),
    0
  )::numeric(12, 2) as hours_to_come
from public.appointments
where clinician_id is not null
group by clinician_id
order by clinician_id;
