#!/bin/bash
# First start of services-db: a database for the services, one for control and one for the FHIR server, each with an
# owner that is no superuser (a superuser is above row level security). The services themselves log in as
# banyan_service and the movers as banyan_apply, which own nothing; the migrations make the other roles.
set -euo pipefail

sql() { psql -X --quiet --no-password -v ON_ERROR_STOP=1 --username postgres --dbname postgres "$@"; }

for name in services control fhir; do
  sql -c "create role $name login" -c "create database $name owner $name"
done
sql -c 'alter role services createrole' -c 'create role banyan_service login noinherit' -c 'create role banyan_apply login'
sql -f /run/secrets/services_roles.sql
