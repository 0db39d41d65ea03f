-- Lab orders by the day on which they were ordered (UTC) and the state that they are in; drafts by the day of their making.
select (coalesce(ordered_at, created_at) at time zone 'UTC')::date as day, status, count(*) as orders
from public.lab_orders
group by day, status
order by day, status;
