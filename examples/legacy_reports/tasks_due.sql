-- Compliance tasks that wait for somebody, by type: how many, of these overdue, due in the next 7 days, and blocking.
select
  task_type,
  count(*) as waiting,
  count(*) filter (where due_at < now()) as overdue,
  count(*) filter (where due_at >= now() and due_at < now() + interval '7 days') as due_soon,
  count(*) filter (where blocking) as blocks
from public.compliance_tasks
where status in ('open', 'in_progress', 'blocked')
group by task_type
order by task_type;
