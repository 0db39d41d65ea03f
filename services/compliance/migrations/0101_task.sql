-- migrate:up
create type task_task_type as enum ('consent_renewal', 'safeguarding_review', 'identity_check', 'temperature_excursion', 'document_request', 'follow_up_call');
create type task_status as enum ('open', 'in_progress', 'blocked', 'completed', 'cancelled');

create table task (
  id uuid primary key,
  submission_id uuid,
  task_type task_task_type not null,
  status task_status not null,
  title text not null,
  description text,
  is_blocking boolean not null,
  priority smallint not null check (priority between 1 and 5),
  assignee_id uuid,
  due_at timestamptz,
  completed_at timestamptz,
  completed_by uuid,
  metadata jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  constraint completed_has_time check (status <> 'completed' or completed_at is not null)
);
create index on task (created_at desc, id);
create index on task (assignee_id, status);
create index on task (submission_id);
call protect('task', 'versioned', 'id');

create policy visible on task for select to banyan_compliance
  using ((select caller_is_staff()) or assignee_id = (select caller_id()));
