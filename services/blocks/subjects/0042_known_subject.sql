-- Whether a submission has arrived here: what is written about one that has not would hang in the air (decisions.md 26).
-- migrate:up
create function known_subject(submission uuid) returns boolean
  language sql stable security definer set search_path from current
begin atomic
  select exists (select from subject_access a where a.submission_id = submission);
end;
revoke execute on function known_subject(uuid) from public;
do $$ begin execute format('grant execute on function known_subject(uuid) to %I', 'banyan_' || current_schema()); end $$;
