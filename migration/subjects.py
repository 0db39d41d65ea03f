"""`Subjects`: what other services know of a submission, its patient and its clinician (decisions.md 26).

Fed from whichever side spoke, by the submission's own version: an older one never gives access back.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import asyncpg

from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from migration.guard import CLOCK_BAND
from migration.postgres_store import answered
from migration.store import Change

ENTITY = "submissions"
SERVICES = (Service.SCHEDULING, Service.DIAGNOSTICS, Service.CARE_PLANS, Service.COMPLIANCE)
"""Whose rows belong to a submission."""


class Subjects(Protocol):
    """Whoever must be told about submissions. Raises StoreError."""

    async def tell(self, changes: Sequence[Change], *, to: Side) -> None:
        """`to`: the side by whose names the contents speak. A version that is known or older changes nothing."""
        ...


class ServiceSubjects:
    """The projections `subject_access`. `pools`: of banyan_apply, by service."""

    def __init__(self, pools: Mapping[Service, asyncpg.Pool]) -> None:
        self._pools = pools

    async def tell(self, changes: Sequence[Change], *, to: Side) -> None:
        if not changes:
            return
        subjects = "[" + ",".join(_subject(change) for change in changes) + "]"
        for service in SERVICES:
            await answered(self._pools[service].execute(_upsert(service, to), subjects))


def _subject(change: Change) -> str:
    version = change.version
    stamps = {
        "submission_id": change.key[0],
        "updated_at": version.updated_at.isoformat(),
        "origin": version.origin,
        "row_version": version.row_version,
        "correlation_id": version.correlation_id,
        "seen_at": version.seen_at.isoformat() if version.seen_at else None,
    }
    return f'{json.dumps(stamps)[:-1]}, "row": {change.content or "null"}}}'


def _upsert(service: Service, to: Side) -> str:
    columns = [assets()[ENTITY].by_target[name] for name in ("patient_user_id", "clinician_id")]
    user, clinician = (c.target if to is Side.SERVICE else c.sources[0] for c in columns)
    stamps = ("updated_at", "origin", "row_version", "correlation_id", "seen_at")
    names = ("user_id", "clinician_id", *stamps)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names)
    pair = "({0}.updated_at, " + service + ".origin_rank({0}.origin))"
    return (
        f"insert into {service}.subject_access as t (submission_id, {', '.join(names)})"  # noqa: S608 - the catalog's names
        f" select s.submission_id, (i.value -> 'row' ->> '{user}')::uuid, (i.value -> 'row' ->> '{clinician}')::uuid,"
        f" {', '.join(f's.{name}' for name in stamps)} from jsonb_array_elements($1::jsonb) i"
        f" cross join lateral jsonb_populate_record(null::{service}.subject_access, i.value) s"
        f" where s.updated_at <= clock_timestamp() + interval '{CLOCK_BAND.total_seconds():g} seconds'"
        f" on conflict (submission_id) do update set {sets} where {pair.format('t')} < {pair.format('excluded')}"
    )
