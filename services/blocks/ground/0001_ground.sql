-- What every service has in its schema, whatever it does: roles, who calls, tombstones, and the tables that writes need.
-- The schema's name is the service's name. Numbers below 0100 belong to blocks/, of which ground runs first; a service's own begin at 0101.
-- PostgreSQL 16 or later; the role that runs this may create roles and is no superuser.
--
-- Who does what. Passwords are not set here: set them out of band.
--   banyan_service     the process logs in as this role. It inherits nothing, so it sees no row before it has changed its role
--   banyan_<service>   a request runs as this one: row level security shows it what the caller may see
--   banyan_known       answers one question: does a key exist here? Sees key columns and nothing else
--   banyan_apply       copy, change capture, mirror and repair write as this role; they obey the authority, not row level security
-- The tables belong to the role that runs the migrations, and nothing that serves requests logs in as that one.
-- migrate:up

do $$
declare
  own constant text := 'banyan_' || current_schema();
  wanted record;
begin
  for wanted in select * from (values ('banyan_service', 'login noinherit'), ('banyan_apply', 'login'),
                                      ('banyan_known', 'nologin'), (own, 'nologin')) v(name, attributes) loop
    if not exists (select from pg_roles where rolname = wanted.name) then
      begin
        execute format('create role %I %s', wanted.name, wanted.attributes);
      exception when duplicate_object or unique_violation then null;      -- roles are the cluster's: another database was quicker
      end;
    end if;
  end loop;
  for wanted in select unnest(array[own, 'banyan_known']) as name loop
    if not pg_has_role('banyan_service', wanted.name, 'member') then
      execute format('grant %I to banyan_service', wanted.name);
    end if;
  end loop;
  execute format('grant usage on schema %I to banyan_service, banyan_known, banyan_apply, %I', current_schema(), own);
end $$;
grant select on schema_migrations to banyan_service;      -- for /readyz

-- Origins in the order in which they win a tie (data-rules section 2).
create function origin_rank(origin text) returns integer
  language sql immutable parallel safe
  return case origin when 'service' then 1 when 'legacy' then 0 end;

-- The verified caller: JSON with sub, app_role and partner_id, set for one transaction. Nobody when it is not set.
-- Policies call these as (select f()), so that each runs once per statement. Their bodies are bound to this schema
-- when they are made; a caller's search_path cannot change what they mean.
create function caller() returns jsonb
  language sql stable parallel safe set search_path = ''
  return coalesce(nullif(current_setting('banyan.caller', true), '')::jsonb, '{}'::jsonb);
create function caller_id() returns uuid
  language sql stable parallel safe set search_path = ''
  return nullif(caller() ->> 'sub', '')::uuid;
create function caller_role() returns text
  language sql stable parallel safe set search_path = ''
  return coalesce(caller() ->> 'app_role', '');
create function caller_is_staff() returns boolean
  language sql stable parallel safe set search_path = ''
  return caller_role() in ('clinician', 'compliance', 'admin');
-- A claim that is no uuid belongs to no partner.
create function caller_partner() returns uuid
  language sql stable parallel safe set search_path = ''
  return case when pg_input_is_valid(caller() ->> 'partner_id', 'uuid') then (caller() ->> 'partner_id')::uuid end;

-- Row level security and grants of one table. `kind`: versioned, or append_only (then nobody may change or delete a row).
-- The table's own policies say what banyan_<service> sees; without one it sees nothing.
create procedure protect(relation text, kind text, variadic key text[]) language plpgsql as $$
declare own constant text := 'banyan_' || current_schema();
begin
  execute format('alter table %I enable row level security', relation);
  execute format('grant select on %I to %I', relation, own);
  execute format('grant select (%s) on %I to banyan_known', (select string_agg(quote_ident(k), ', ') from unnest(key) k), relation);
  execute format('create policy known on %I for select to banyan_known using (true)', relation);
  execute format('grant select, insert %s on %I to banyan_apply', case kind when 'versioned' then ', update, delete' when 'append_only' then '' end, relation);
  execute format('create policy apply on %I to banyan_apply using (true) with check (true)', relation);
end $$;

-- Keys that were deleted, with the version of the delete: no payload, ever. They outlive the longest possible replay.
create table tombstones (
  entity text not null,
  key jsonb not null,                      -- by the names of this schema
  updated_at timestamptz not null,
  origin text not null check (origin in ('legacy', 'service')),
  row_version bigint not null,
  correlation_id text,
  seen_at timestamptz,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (entity, key)
);
create index on tombstones (recorded_at);
grant select (entity, key) on tombstones to banyan_known;
grant select, insert, update, delete on tombstones to banyan_apply;

-- Nobody reads or writes the two tables below yet: they are here so that the first write finds its transaction complete.

-- One CloudEvent per write, in the write's own transaction: key and stamps, never a column's value.
-- A lower id may commit after a higher one, so a reader takes rows with `transaction < pg_snapshot_xmin(pg_current_snapshot())`.
create table outbox (
  id bigint generated always as identity primary key,
  transaction xid8 not null default pg_current_xact_id(),
  event_id uuid not null default gen_random_uuid(),
  event_type text not null,
  entity text not null,
  key jsonb not null,
  updated_at timestamptz not null,
  origin text not null,
  row_version bigint not null,
  seen_at timestamptz,
  correlation_id text,
  recorded_at timestamptz not null default clock_timestamp(),
  published_at timestamptz
);
create index on outbox (transaction, id) where published_at is null;

-- What a repeated request gets back. The fingerprint is keyed, the answer is encrypted: neither shows what was sent.
create table idempotency (
  scope text not null,                     -- keyed hash of user and route
  key text not null,
  fingerprint bytea not null,
  state text not null check (state in ('running', 'done')),
  lease_until timestamptz not null,        -- of a running one: then its owner counts as dead
  status smallint,
  answer bytea,
  row_key jsonb,                           -- by which a lost outcome is looked up
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (scope, key),
  check (state = 'running' or (status is not null and answer is not null))
);
create index on idempotency (recorded_at);
