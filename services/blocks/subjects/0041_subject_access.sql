-- For services whose rows belong to a submission of intake's: who may see them (decisions.md 26). A copy of three columns of intake's rows, kept by their versions.
-- A submission that is missing here is nobody's; one that was deleted stays, with nobody in it.
-- migrate:up
create table subject_access (
  submission_id uuid primary key,
  user_id uuid,
  clinician_id uuid,
  updated_at timestamptz not null,
  origin text not null check (origin in ('legacy', 'service')),
  row_version bigint not null,
  correlation_id text,
  seen_at timestamptz
);
create index on subject_access (user_id);
create index on subject_access (clinician_id);
grant select, insert, update on subject_access to banyan_apply;

-- Requests cannot read the table; they learn about their own submissions through this function alone.
create function visible_submissions() returns setof uuid
  language sql stable security definer set search_path = ''
begin atomic
  select a.submission_id from subject_access a where a.user_id = caller_id() or a.clinician_id = caller_id();
end;
revoke execute on function visible_submissions() from public;
do $$ begin execute format('grant execute on function visible_submissions() to %I', 'banyan_' || current_schema()); end $$;
