-- migrate:up
create type submission_status as enum ('draft', 'submitted', 'in_review', 'approved', 'rejected', 'withdrawn');
create type submission_sex as enum ('female', 'male', 'other', 'unknown');
create type submission_consent_status as enum ('pending', 'granted', 'refused', 'revoked');

create table submission (
  id uuid primary key,
  patient_user_id uuid,
  status submission_status not null,
  given_name text not null,
  family_name text not null,
  birth_date date not null,
  sex submission_sex,
  email text,
  phone text,
  address jsonb not null,
  guardian jsonb,
  consent_status submission_consent_status not null,
  consent_granted_at timestamptz,
  consent_policy_version text,
  safeguarding_concern boolean not null,
  safeguarding_notes text,
  safeguarding_details jsonb not null,
  answers jsonb not null,
  clinician_id uuid,
  submitted_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  row_version bigint not null,
  origin text not null check (origin in ('legacy', 'service')),
  correlation_id text,
  seen_at timestamptz,
  constraint consent_time check (consent_status <> 'granted' or consent_granted_at is not null)
);
create index on submission (created_at desc, id);
create index on submission (patient_user_id);
create index on submission (clinician_id);
call protect('submission', 'versioned', 'id');

create policy visible on submission for select to banyan_intake
  using (patient_user_id = (select caller_id()) or (select caller_is_staff()));
