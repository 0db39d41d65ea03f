"""What the control database says of one correlation id: open intents, attempts, the ledger, conflicts, the audit chain."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import asyncpg

from catalog.stage import Side
from migration.trace.database import MOST_ROWS, Database
from migration.trace.timeline import CONTROL, Line, Row, What
from migration.trace.verdict import LOST, WON
from routes.key import write_key

NEWEST = 100_000
"""Attempts, solved incidents, conflicts and audit records (of each writer): so many of the newest are looked at."""


async def read_control(database: Database, correlation_id: str) -> None:
    if not database.reached:
        return
    intents = await database.fetch("open intents", _INTENTS, correlation_id)
    attempts = await database.fetch("attempts", _ATTEMPTS, correlation_id, NEWEST)
    incidents = await database.fetch("ledger", _INCIDENTS, correlation_id, NEWEST)
    conflicts = await database.fetch("conflicts", _CONFLICTS, correlation_id, NEWEST)
    audits = await database.fetch("audit", _AUDIT, correlation_id, NEWEST)
    findings = database.findings
    findings.add(map(_intent, intents))
    findings.add(map(_attempt, attempts))
    findings.add(map(_incident, incidents))
    findings.add(_conflict(row) for row in conflicts)
    findings.add(map(_audited, audits))
    findings.look(
        CONTROL,
        f"open intents, and of attempts, ledger, conflicts and audit the newest {NEWEST:,} of each",
    )


async def read_incidents(database: Database, rows: Collection[Row]) -> None:
    """Those of these rows that are not over, whichever version was tried last: it holds up the others."""
    if not rows:
        return
    entities, keys = zip(*sorted(rows), strict=True)
    known = {line.facts.get("incident") for line in database.findings.lines}
    found = await database.fetch("ledger", _UNSOLVED, entities, keys)
    database.findings.add(_incident(row) for row in found if row["id"] not in known)


def _intent(row: asyncpg.Record) -> Line:
    key = row["brought_key"] or row["key"]
    return Line(
        at=row["seen_at"],
        where=CONTROL,
        what=What.OPEN,
        word=row["outcome"] or "no outcome yet",
        entity=row["entity"],
        key=None if key is None else write_key(tuple(key)),
        origin=Side(row["authority"]),
        intent=str(row["id"]),
        facts={"attempts": row["attempts"], "resolve_at": row["resolve_at"].isoformat()},
    )


def _attempt(row: asyncpg.Record) -> Line:
    return Line(
        at=row["recorded_at"],
        where=CONTROL,
        what=What.TRIED,
        word="running" if row["status"] is None else str(row["status"]),
        facts={"authority": row["authority"], "attempt": row["attempt"]},
    )


def _incident(row: asyncpg.Record) -> Line:
    facts = {"incident": row["id"], "reason": row["reason"], "attempts": row["attempts"]}
    last = row["solved_at"] or row["last_seen"]
    return Line(
        at=row["first_seen"],
        where=CONTROL,
        what=What.DIVERGED,
        word=row["state"],
        entity=row["entity"],
        key=row["key"],
        origin=Side(row["side"]),
        facts={**facts, "solved_at" if row["solved_at"] else "last_seen": last.isoformat()},
    )


def _conflict(row: asyncpg.Record) -> Line:
    versions: Mapping[str, Any] = {LOST: json.loads(row["loser"]), WON: json.loads(row["winner"])}
    word = LOST if row["lost"] else WON
    kept = row["kept_until"]
    return Line(
        at=row["recorded_at"],
        where=CONTROL,
        what=What.CONFLICT,
        word=word,
        entity=row["entity"],
        key=row["key"],
        origin=Side(versions[word]["origin"]),
        facts={"conflict": row["id"], **({"sealed_until": kept.isoformat()} if kept else {})},
    )


def _audited(row: asyncpg.Record) -> Line:
    """Who it was and why stand in the chain: `banyan audit list`."""
    return Line(
        at=row["at"],
        where=CONTROL,
        what=What.AUDITED,
        word=row["action"],
        facts={"writer": row["writer"], "number": row["n"]},
    )


def _limited(statement: str) -> str:
    return f"{statement} limit {MOST_ROWS}"


_INTENTS = _limited(
    "select id, entity, key, brought_key, authority, seen_at, resolve_at, outcome, attempts"
    " from control.intents where correlation_id = $1 order by seen_at desc"
)
_ATTEMPTS = _limited(
    "select authority, attempt, status, recorded_at from"
    " (select * from control.idempotency order by recorded_at desc limit $2) i where correlation_id = $1"
)
_INCIDENT = "id, entity, key, side, state, reason, attempts, first_seen, last_seen, solved_at, correlation_id"
_INCIDENTS = _limited(
    f"select {_INCIDENT} from (select {_INCIDENT} from control.divergences where state <> 'solved'"  # noqa: S608 - fixed texts
    f" union all (select {_INCIDENT} from control.divergences where state = 'solved' order by id desc limit $2)) d"
    " where correlation_id = $1"
)
_UNSOLVED = _limited(
    f"select {_INCIDENT} from control.divergences d join unnest($1::text[], $2::text[]) r(entity, key) using (entity, key)"  # noqa: S608 - fixed texts
    " where d.state <> 'solved'"
)
_CONFLICTS = _limited(
    "select c.id, c.entity, c.key, c.loser::text as loser, c.winner::text as winner, c.recorded_at, q.kept_until,"
    " c.loser ->> 'correlation_id' is not distinct from $1 as lost"
    " from (select * from control.conflicts order by id desc limit $2) c"
    " left join control.quarantine q on q.conflict_id = c.id"
    " where $1 in (c.loser ->> 'correlation_id', c.winner ->> 'correlation_id')"
)
_AUDIT = _limited(
    "select a.writer, a.n, a.at, a.action from control.audit_heads h"
    " join control.audit a on a.writer = h.writer and a.n > h.n - $2::bigint"
    " where jsonb_path_exists(a.subject, '$.** ? (@ == $id)', jsonb_build_object('id', $1::text))"
    " or exists (select from regexp_split_to_table(a.reason, '[^A-Za-z0-9._:-]+') w where rtrim(w, '.:') = $1)"
    " order by a.at desc"
)
