#!/bin/sh
# Makes the secrets of compose.yaml, once: `docker compose run --rm secrets`.
#
# One file per reader, owned by the user that reads it and closed to everybody else; our own processes refuse a
# secret that others could read. A file that Compose mounts keeps the owner that it has here, so this runs as root.
set -eu
cd "${1:-/secrets}"
if [ -e complete ]; then
  echo "The secrets are here already. To make new ones, remove .run/secrets and the volumes."
  exit 0
fi

BANYAN=10001 POSTGRES=999 POSTGREST=1000 VALKEY=999 CONNECT=1001 HAPI=65532 MOSQUITTO=0 SEAWEEDFS=0

random() { head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

# file FILE OWNER: keeps what comes in
file() {
  (umask 077 && cat >"$1")
  chown "$2" "$1"
  chmod 400 "$1"
}

# value FILE OWNER VALUE: without a newline, which not every reader would take off
value() { printf '%s' "$3" | file "$1" "$2"; }

superuser=$(random) owner=$(random) cdc=$(random) authenticator=$(random)
worker=$(random) switch=$(random) apply=$(random)
services=$(random) service=$(random) control=$(random) fhir=$(random)
redis=$(random) jwt=$(random) mqtt=$(random) s3_key=$(random) s3_secret=$(random)

value postgres_password "$POSTGRES" "$superuser"
file legacy_roles.sql "$POSTGRES" <<SQL
alter role postgres password '$owner';
alter role authenticator password '$authenticator';
alter role banyan_cdc password '$cdc';
alter role banyan_worker password '$worker';
alter role banyan_control password '$switch';
SQL
file services_roles.sql "$POSTGRES" <<SQL
alter role services password '$services';
alter role banyan_service password '$service';
alter role banyan_apply password '$apply';
alter role control password '$control';
alter role fhir password '$fhir';
SQL

value postgrest_db_uri "$POSTGREST" "postgresql://authenticator:$authenticator@legacy-db:5432/legacy"
value postgrest_jwt_secret "$POSTGREST" "$jwt"

value services_owner_database_url "$BANYAN" "postgresql://services:$services@services-db:5432/services"
value services_database_url "$BANYAN" "postgresql://banyan_service:$service@services-db:5432/services"
value services_apply_database_url "$BANYAN" "postgresql://banyan_apply:$apply@services-db:5432/services"
value legacy_database_url "$BANYAN" "postgresql://banyan_worker:$worker@legacy-db:5432/legacy"
value legacy_control_database_url "$BANYAN" "postgresql://banyan_control:$switch@legacy-db:5432/legacy"
value control_database_url "$BANYAN" "postgresql://control:$control@services-db:5432/control"
value redis_url "$BANYAN" "redis://:$redis@redis:6379/0"
value token_hs256_secret "$BANYAN" "$jwt"
value legacy_publishable_key "$BANYAN" "$(random)"
value internal_token_key "$BANYAN" "$(random)"
value cursor_key "$BANYAN" "$(random)"
value access_log_key "$BANYAN" "$(random)"
for keys in audit evidence field; do
  value "${keys}_keys" "$BANYAN" "$keys-1:$(head -c 32 /dev/urandom | base64)"
done
# A sample laboratory; docs/v2-api.md says how it signs.
value vendor_keys "$BANYAN" "Synthetic Labs:$(head -c 32 /dev/urandom | base64)"

# everysec would lose up to a second of acknowledged writes
file valkey.conf "$VALKEY" <<CONF
requirepass $redis
dir /data
appendonly yes
appendfsync always
save ""
CONF
value connect.properties "$CONNECT" "password=$cdc"
file fhir.yaml "$HAPI" <<YAML
spring:
  datasource:
    url: jdbc:postgresql://services-db:5432/fhir
    username: fhir
    password: $fhir
    driver-class-name: org.postgresql.Driver
  jpa:
    properties:
      hibernate.dialect: ca.uhn.fhir.jpa.model.dialect.HapiFhirPostgresDialect
YAML
value mqtt_password "$MOSQUITTO" "$mqtt"
# The bucket is made with the first file: this identity may.
value object_store_url "$BANYAN" "s3://banyan?endpoint=http://objects:8333&access_key_id=$s3_key&secret_access_key=$s3_secret"
file s3.json "$SEAWEEDFS" <<JSON
{"identities": [{"name": "banyan", "credentials": [{"accessKey": "$s3_key", "secretKey": "$s3_secret"}],
                 "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON

touch complete
