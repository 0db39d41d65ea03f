"""Synthetic patients of which no two share a name, a phone, an e-mail or a note; in the services' database some of it is otherwise.

Written straight into both databases, with the rows' stamps as they are: old enough to be no matter of lag.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from runtime.stack import Stack

Values = dict[str, str | None]

_AWKWARD = ("é", "ł", "'", '"', "\\", "ø", "花", "%", "&", "-")
_COMMON = 4
"""So many names are given to many patients, as given and as family name."""
KINDS = 12
"""What is otherwise in the service goes by the patient's number, modulo this."""
_MISSING, _LONELY = 5, 10
_NOTES = {
    "public.appointments": ("scheduling.appointment", "reason"),
    "public.appointment_requests": ("scheduling.appointment_request", "notes"),
    "public.compliance_tasks": ("compliance.task", "description"),
    "public.lab_orders": ("diagnostics.lab_order", "result_summary"),
}
"""Notes in other tables: legacy's table, the service's, and the column of both."""


@dataclass(kw_only=True)
class Patients:
    """By a submission's id: what either side says of it. `service` lacks those whose row is missing there."""

    legacy: dict[str, Values] = field(default_factory=dict)
    service: dict[str, Values] = field(default_factory=dict)

    def texts(self) -> set[str]:
        """All values of both."""
        rows = (*self.legacy.values(), *self.service.values())
        return {text for row in rows for text in row.values() if text is not None}


def legacy_values(number: int) -> Values:
    """A patient's own."""
    code, odd = _code(number), _AWKWARD[number % len(_AWKWARD)]
    return {
        "given_name": f"Zo{odd}ra{code}",
        "family_name": f"Quill{odd}{code}moor",
        "phone": f"+44 7{number:09}",
        "email": f"{code}.zora+{number}@post{code}.example",
        "safeguarding_notes": f"Lives with {code}; 5{odd} of “{code}”\nsays so",
        "guardian_name": f"Orla{odd} Vance{code}",
        "guardian_phone": f"(0)20/8{number:08}",
        "guardian_email": f"orla.{code}@kin{code}.example",
        "line": f"{number} Nettle{odd}gate {code}",
        "answer": f"Since {code} was ill{odd}, no sleep",
    }


def service_values(number: int, own: Values) -> Values | None:
    """What the service says of the same patient; None: it has no such row."""
    code = _code(number)
    match number % KINDS:
        case 1:
            change: Values = {"given_name": f"Wro{code}ng"}
        case 2:
            change = {"phone": None, "email": None}
        case 3:
            change = {"email": f"{code}@other{code}.example", "family_name": f"Moved{code}"}
        case 4:
            change = {
                "phone": f"+1 555 8{number:09}",
                "safeguarding_notes": f"Not what {code} said",
            }
        case 5:
            return None
        case 6:
            change = {"guardian_phone": None, "guardian_name": f"Aunt {code}"}
        case 7:
            change = {"line": f"Elsewhere {code}", "safeguarding_notes": None}
        case 8:
            change = {"answer": f"Another answer of {code}"}
        case 9:
            # The same text in both columns: a tag must not say so.
            common = f"Commonborough{_code(number // KINDS % _COMMON)}"
            change = {"given_name": common, "family_name": common}
        case _:
            change = {}
    return {**own, **change}


async def plant(stack: Stack) -> Patients:
    """Into every submission of both databases, and the notes about it elsewhere."""
    legacy = await asyncpg.connect(stack.databases["legacy"])
    services = await asyncpg.connect(stack.databases["services"])
    try:
        ids = [str(row[0]) for row in await legacy.fetch("select id from submissions order by id")]
        found = Patients(legacy={id_: legacy_values(number) for number, id_ in enumerate(ids)})
        kinds = {id_: number % KINDS for number, id_ in enumerate(ids)}
        for number, (id_, own) in enumerate(found.legacy.items()):
            other = service_values(number, own)
            if other is not None:
                found.service[id_] = other
        async with legacy.transaction():
            await _legacy(legacy, found.legacy)
        async with services.transaction():
            await services.execute("set local banyan.apply = 'on'")
            await _service(services, found, kinds)
        return found
    finally:
        await legacy.close()
        await services.close()


async def _legacy(database: asyncpg.Connection, rows: dict[str, Values]) -> None:
    await database.execute("alter table public.submissions disable trigger user")
    await database.execute(_UPDATE_LEGACY, *_columns(rows))
    await database.execute("alter table public.submissions enable trigger user")
    for table, (_, column) in _NOTES.items():
        await database.execute(f"alter table {table} disable trigger user")
        await database.execute(_note(table, column, "n.note"), *_notes(rows))
        await database.execute(f"alter table {table} enable trigger user")


async def _service(database: asyncpg.Connection, found: Patients, kinds: dict[str, int]) -> None:
    await database.execute(_UPDATE_SERVICE, *_columns(found.service))
    await database.execute(_FEW_VALUES, [id_ for id_, kind in kinds.items() if kind == KINDS - 1])
    gone = [id_ for id_ in found.legacy if id_ not in found.service]
    await database.execute("delete from intake.submission where id = any($1::uuid[])", gone)
    lonely = [id_ for id_, kind in kinds.items() if kind == _LONELY]
    await database.execute(_ANOTHER, lonely[: len(lonely) // 4 + 1])
    for table, column in _NOTES.values():
        # Every third says something else behind the same words, or nothing.
        other = (
            "case get_byte(uuid_send(t.id), 15) % 3 when 0 then n.note || ', or so' when 1 then null"
            " else n.note end"
        )
        await database.execute(_note(table, column, other), *_notes(found.legacy))


def _columns(rows: dict[str, Values]) -> Sequence[Sequence[str | None]]:
    names = legacy_values(0)
    return [list(rows), *([row[name] for row in rows.values()] for name in names)]


def _notes(rows: dict[str, Values]) -> Sequence[Sequence[str | None]]:
    return [list(rows), [row["answer"] for row in rows.values()]]


def _note(table: str, column: str, value: str) -> str:
    return (
        f"update {table} t set {column} = {value}"
        " from unnest($1::uuid[], $2::text[]) n (id, note) where n.id = t.submission_id"
    )


def _code(number: int) -> str:
    """Six letters that no other number has."""
    letters = []
    for _ in range(4):
        number, one = divmod(number, 20)
        letters.append("bcdfghjklmnpqrstvwxz"[one])
    return "q" + "".join(letters) + "y"


_PLANTED = (
    "from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],"
    " $10::text[], $11::text[]) p (id, given_name, family_name, phone, email, notes, guardian_name, guardian_phone,"
    " guardian_email, line, answer) where p.id = t.id"
)
_JSON = "address = jsonb_set(t.address, '{line1}', to_jsonb(p.line)), answers = jsonb_set(t.answers, '{told}', to_jsonb(p.answer))"
_UPDATE_LEGACY = (
    "update public.submissions t set first_name = p.given_name, last_name = p.family_name, phone = p.phone, email = p.email,"
    " safeguarding_notes = p.notes, guardian_name = p.guardian_name, guardian_phone = p.guardian_phone,"
    f" guardian_email = p.guardian_email, {_JSON} {_PLANTED}"
)
_UPDATE_SERVICE = (
    "update intake.submission t set given_name = p.given_name, family_name = p.family_name, phone = p.phone, email = p.email,"
    " safeguarding_notes = p.notes, guardian = jsonb_build_object('name', p.guardian_name, 'relationship',"
    " t.guardian -> 'relationship', 'phone', p.guardian_phone, 'email', p.guardian_email),"
    f" {_JSON} {_PLANTED}"
)
_FEW_VALUES = (
    "update intake.submission set sex = case when sex is distinct from 'female' then 'female'::intake.submission_sex else 'male' end,"
    " birth_date = birth_date + 1, safeguarding_concern = not safeguarding_concern,"
    " consent_status = case when consent_status = 'pending' then 'refused'::intake.submission_consent_status else 'pending' end,"
    " status = case when status = 'draft' then 'submitted'::intake.submission_status else 'draft' end"
    " where id = any($1::uuid[])"
)
_ANOTHER = (
    "insert into intake.submission select (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).*"
    " from intake.submission t where id = any($1::uuid[])"
)
