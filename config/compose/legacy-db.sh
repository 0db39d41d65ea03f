#!/bin/bash
# First start of legacy-db: the demonstration project as its owner has it, prepared for the migration.
set -euo pipefail

sql() { psql -X --quiet --no-password -v ON_ERROR_STOP=1 --username "$1" --dbname "$2" "${@:3}"; }

# As on Supabase: the role `postgres` owns the tables and is no superuser.
sql supabase_admin postgres \
  -c 'create role postgres login createdb createrole replication bypassrls' \
  -c 'create database legacy owner postgres'
sql postgres legacy -f /banyan/schema.sql
sql postgres legacy -f /banyan/prepare.sql
sql supabase_admin legacy -f /run/secrets/legacy_roles.sql
