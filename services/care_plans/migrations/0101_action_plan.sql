-- migrate:up
create table action_plan (
  id uuid primary key,
  submission_id uuid not null,
  author_id uuid,
  title text not null,
  revision integer not null check (revision > 0),
  object_bucket text not null,
  object_key text not null,
  content_type text not null,
  content_length bigint check (content_length >= 0),
  content_sha256 text check (content_sha256 ~ '^[0-9a-f]{64}$'),
  published_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  -- At commit: applies come in any order, and a revision may move from one row to another.
  unique (object_bucket, object_key) deferrable initially deferred,
  unique (submission_id, title, revision) deferrable initially deferred
);
create index on action_plan (created_at desc, id);
call protect('action_plan', 'versioned', 'id');

create policy visible on action_plan for select to banyan_care_plans
  using ((select caller_is_staff()) or (published_at is not null and submission_id in (select visible_submissions())));
