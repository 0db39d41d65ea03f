"""A small schema for the pure parts, without a database."""

from collections.abc import Sequence

from sandbox.supabase.schema_cache import (
    ColumnInfo,
    ForeignKey,
    Function,
    Parameter,
    Schema,
    Table,
)


def table(
    name: str,
    columns: dict[str, str],
    *,
    key: Sequence[str] = ("id",),
    uniques: Sequence[Sequence[str]] = (),
    view: bool = False,
) -> Table:
    return Table(
        schema="public",
        name=name,
        columns={
            each: ColumnInfo(name=each, type=kind, json=kind in ("json", "jsonb"))
            for each, kind in columns.items()
        },
        primary_key=tuple(key),
        uniques=frozenset({frozenset(key), *(frozenset(each) for each in uniques)}),
        view=view,
    )


def key(name: str, source: str, columns: str, target: str) -> ForeignKey:
    return ForeignKey(
        name=name,
        table=("public", source),
        columns=(columns,),
        foreign=("public", target),
        foreign_columns=("id",),
    )


def function(
    name: str, *parameters: Parameter, returns_set: bool = False, result: Table | None = None
) -> Function:
    return Function(
        schema="public",
        name=name,
        parameters=parameters,
        volatile=False,
        returns_set=returns_set,
        returns_void=False,
        result=result,
    )


ORDERS = table(
    "orders",
    {"id": "uuid", "status": "text", "price": "numeric", "tags": "text[]", "meta": "jsonb",
     "patient_id": "integer", "doctor_id": "integer"},
)  # fmt: skip
PEOPLE = table("people", {"id": "integer", "name": "text", "boss_id": "integer"})
BADGES = table("badges", {"person_id": "integer", "code": "text"}, key=("person_id",))
CLUBS = table("clubs", {"id": "integer", "name": "text"})
MEMBERS = table(
    "members", {"person_id": "integer", "club_id": "integer"}, key=("person_id", "club_id")
)
NAMES = table("names", {"name": "text"}, key=(), view=True)

ADD = function("add", Parameter(name="a", type="integer"), Parameter(name="b", type="integer"))
GREET = function("greet", Parameter(name="name", type="text", optional=True))
TWICE_A = function("twice", Parameter(name="v", type="integer"))
TWICE_B = function("twice", Parameter(name="v", type="text"))
WHOLE = function("whole", Parameter(name="", type="json"))

SCHEMA = Schema(
    tables={each.key: each for each in (ORDERS, PEOPLE, BADGES, CLUBS, MEMBERS, NAMES)},
    foreign_keys=(
        key("orders_patient", "orders", "patient_id", "people"),
        key("orders_doctor", "orders", "doctor_id", "people"),
        key("people_boss", "people", "boss_id", "people"),
        key("badges_person", "badges", "person_id", "people"),
        key("members_person", "members", "person_id", "people"),
        key("members_club", "members", "club_id", "clubs"),
    ),
    functions={
        ("public", "add"): (ADD,),
        ("public", "greet"): (GREET,),
        ("public", "twice"): (TWICE_A, TWICE_B),
        ("public", "whole"): (WHOLE,),
    },
    computed=frozenset({(("public", "people"), "full_name")}),
)
