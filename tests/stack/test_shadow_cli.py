"""`banyan shadow`: over a control database with counts and differences, and the rows of both sides."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from catalog import assets
from catalog.stage import Side
from cli import access
from cli.main import app
from migration.held_sql import place
from routes import resources
from runtime.accessrecord import resource_tag
from runtime.control_database import migrate_control
from runtime.postgres import create_pool
from runtime.sealed import Sealer
from runtime.shadowstore import KEPT_DAYS, KEY_VERSION, SLOT_SECONDS, Count, Example, ShadowStore
from runtime.stack import Stack
from sandbox.legacy.load import Legacy
from shadow.difference import Kind
from shadow.durations import Durations
from shadow.evidence import Trace
from shadow.pair import Result as Said
from shadow.report import exposed
from shadow.tally import Counted, Tally
from tests.fakes.keys import key_setting, keyring
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

T = TypeVar("T")

NOW = datetime.now(UTC)
LIST, ITEM = "/v2/lab-orders", "/v2/lab-orders/{key}"
REQUEST = "corr-12345678"
ACCESS_KEY = "access-key-of-the-tests-" + "a" * 16
AWAY = "postgresql://nobody@127.0.0.1:1/x"
WRONG = Counted(
    result=Said.MISMATCH,
    fields=frozenset({"currency", "status"}),
    kinds=frozenset({("currency", Kind.VALUE)}),
)
TAG, OTHER_TAG = f"e1:{'a' * 32}", f"e1:{'b' * 32}"


@dataclass(kw_only=True)
class World:
    run: Path
    dsn: str
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> Result:
        Stack(pid=0, started_at="", environment=self.environment).write(self.run / "stack.json")
        with capture_logs():  # which the command itself sends to standard error
            return CliRunner().invoke(app, ["shadow", *arguments, "--run", str(self.run)])

    def json(self, *arguments: str) -> Any:
        answer = self(*arguments, "--json")
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    def put(self, counts: list[Count], examples: list[Example]) -> None:
        async def store(pool: asyncpg.Pool) -> None:
            await ShadowStore(pool).put(counts, examples)

        self.control(store)

    def control(self, do: Callable[[asyncpg.Pool], Awaitable[T]]) -> T:
        async def done() -> T:
            pool = await create_pool(self.dsn, name="test", size=1)
            try:
                return await do(pool)
            finally:
                await pool.close()

        return asyncio.run(done())

    def fetch(self, statement: str) -> list[Any]:
        async def ask(pool: asyncpg.Pool) -> list[Any]:
            return list(await pool.fetch(statement))

        return self.control(ask)

    def audit(self) -> list[tuple[str, str, dict[str, Any]]]:
        rows = self.fetch("select action, reason, subject from control.audit order by n")
        return [(row["action"], row["reason"], json.loads(row["subject"])) for row in rows]

    def alerts(self) -> list[tuple[str, str]]:
        return [tuple(row) for row in self.fetch("select class, entity from control.alerts")]

    def records(self) -> list[dict[str, Any]]:
        files = Path(self.environment["ACCESS_LOG_FOLDER"]).glob("*.jsonl")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path, empty_dsn: str) -> World:
    asyncio.run(migrate_control(empty_dsn))
    environment = {
        "PROFILE": "sandbox",
        "CONTROL_DATABASE_URL": empty_dsn,
        "AUDIT_KEYS": key_setting("a1"),
        "FIELD_KEYS": key_setting("f1"),
        "ACCESS_LOG_FOLDER": str(tmp_path / "access"),
        "ACCESS_LOG_KEY": ACCESS_KEY,
        "LEGACY_DATABASE_URL": AWAY,
        "SERVICES_APPLY_DATABASE_URL": AWAY,
    }
    return World(run=tmp_path, dsn=empty_dsn, environment=environment)


def count(clean: int = 0, *others: Counted, minutes_ago: float = 10, **values: Any) -> Count:
    tally, times = Tally(), Durations()
    tally.add_equal(["currency", "status"], clean)
    for one in others:
        tally.add(one)
    times.add(0.010)
    at = (NOW - timedelta(minutes=minutes_ago)).timestamp() // SLOT_SECONDS * SLOT_SECONDS
    document = {
        "tally": tally.document(),
        "primary": times.classes,
        "candidate": Durations().classes,
    }
    made = Count(
        slot=datetime.fromtimestamp(at, UTC),
        writer="host.1.2",
        release="r1",
        route=LIST,
        candidate="service",
        noise=False,
        document=document,
    )
    return replace(made, **values)


def example(**values: Any) -> Example:
    made = Example(
        id=uuid4(),
        at=NOW - timedelta(minutes=1),
        correlation_id=REQUEST,
        route=LIST,
        entity="lab_orders",
        candidate="service",
        noise=False,
        release="r1",
        flag_version=7,
        kind="value",
        path="items[].currency",
        field="currency",
        decides=True,
        row="",
        sealed_key=b"",
        left=asdict(Trace(type="text", length="1-7", tag=TAG)),
        right=asdict(Trace(type="text", length="1-7", tag=OTHER_TAG)),
    )
    return replace(made, **values)


def sealed(entity: str, key: tuple[str, ...], request: str = REQUEST, ring: str = "f1") -> bytes:
    plain = json.dumps(list(key)).encode()
    return Sealer(keyring(ring)).seal(plain, entity=entity, key=request, version=KEY_VERSION)


def routes_of(found: Any) -> dict[tuple[str, str], Any]:
    return {(one["route"], one["candidate"]): one for one in found["routes"]}


# --- report


def test_without_counts_nothing_passes_and_every_route_is_named(world: World) -> None:
    found = world.json("report")
    assert {one["route"] for one in found["routes"]} == {one.route for one in exposed()}
    assert {one["why"] for one in found["routes"]} == {"no_traffic"}
    assert found["overall"] == "insufficient"
    told = world("report").stdout
    assert f"{len(exposed())} routes without traffic" in told
    assert LIST not in told
    assert LIST in world("report", "--all").stdout


def test_a_line_for_each_route_that_was_used(world: World) -> None:
    world.put(
        [
            count(100_000),
            count(10, *[WRONG] * 5, route=ITEM),
            count(0, WRONG, candidate="legacy"),
            count(100_000, WRONG, noise=True),
        ],
        [],
    )
    found = routes_of(world.json("report"))
    assert (found[LIST, "service"]["pairs"], found[LIST, "service"]["outcome"]) == (100_000, "pass")
    assert (found[ITEM, "service"]["mismatches"], found[ITEM, "service"]["outcome"]) == (5, "fail")
    assert found[LIST, "legacy"]["pairs"] == 1
    assert found[LIST, "service"]["noise"] == {"pairs": 100_001, "mismatches": 1}
    assert found[LIST, "service"]["primary"]["p50_ms"] == pytest.approx(10, rel=0.3)
    assert found[LIST, "service"]["asked"] == {"count": 0, "p50_ms": None, "p99_ms": None}
    lines = [one.strip() for one in world("report").stdout.splitlines()]
    [line] = [one for one in lines if one.startswith(ITEM)]
    assert line.split()[1:4] == ["service", "15", "5"]
    assert "rate: currency" in line
    [line] = [one for one in lines if one.startswith(f"{LIST} ") and " service " in one]
    assert "1/100001" in line
    assert lines[-1].startswith("overall: fail")


def test_the_gate_opens_for_a_pass_alone(world: World) -> None:
    world.put([count(3_000, route=one.route) for one in exposed()][1:], [])
    assert world("report", "--gate").exit_code == 1
    assert world("report").exit_code == 0
    world.put([count(3_000, route=exposed()[0].route)], [])
    assert world("report", "--gate").exit_code == 0
    world.put([count(0, *[WRONG] * 100, writer="host.2.2")], [])
    answer = world("report", "--gate", "--json")
    assert (answer.exit_code, json.loads(answer.stdout)["overall"]) == (1, "fail")
    assert world("report", "--gate", "--route", "appointments").exit_code == 0


def test_the_threshold_is_a_setting(world: World) -> None:
    world.put([count(300)], [])
    assert routes_of(world.json("report"))[LIST, "service"]["outcome"] == "insufficient"
    world.environment["SHADOW_THRESHOLD"] = "0.01"
    found = world.json("report")
    assert (found["threshold"], routes_of(found)[LIST, "service"]["outcome"]) == (0.01, "pass")
    world.environment["SHADOW_THRESHOLD"] = "1"
    assert world("report").exit_code == 3


def test_how_far_back_and_of_which_release(world: World) -> None:
    world.put([count(7, minutes_ago=60 * 30), count(5), count(3, release="r2")], [])
    for words, pairs in [
        ((), 8),
        (("--since", "40h"), 15),
        (("--since", "2d"), 15),
        (("--since", "30d"), 15),
        (("--since", "99999d"), 15),
        (("--since", "1m"), 0),
        (("--since", (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")), 8),
        (("--since", (NOW - timedelta(hours=40)).isoformat()), 15),
        (("--release", "r2"), 3),
        (("--release", "r3"), 0),
    ]:
        found = routes_of(world.json("report", *words))
        assert found[LIST, "service"]["pairs"] == pairs, words
    assert "Of several releases: r1, r2" in world("report").stderr


def test_one_route_column_by_column_with_examples(world: World) -> None:
    old = timedelta(days=2)
    world.put(
        [count(100, *[WRONG] * 50), count(1, route=ITEM)],
        [
            example(),
            example(correlation_id="corr-00000002", field="status", path="items[].status", decides=False,
                    left=asdict(Trace(type="text")), right=asdict(Trace(type="null"))),
            example(correlation_id="corr-00000003", field="", kind="status", path="status",
                    left=asdict(Trace(type="number", said="200")), right=asdict(Trace(type="number", said="404"))),
            example(correlation_id="corr-00000004", route=ITEM),
            example(correlation_id="corr-00000005", route="/v2/appointments", entity="appointments"),
            example(correlation_id="corr-00000006", at=NOW - old),
        ],
    )  # fmt: skip
    found = world.json("report", "--route", "lab_orders")
    assert {one["route"] for one in found["routes"]} == {LIST, ITEM}
    fields = routes_of(found)[LIST, "service"]["fields"]
    assert next(iter(fields)) == "currency"
    assert (fields["currency"]["wrong"], fields["currency"]["kinds"]) == (50, {"value": 50})
    assert fields["status"]["outcome"] == "insufficient"
    told = {one["correlation_id"]: one for one in found["examples"]}
    assert set(told) == {REQUEST, "corr-00000002", "corr-00000003", "corr-00000004"}
    assert (told[REQUEST]["tags"], told["corr-00000002"]["tags"]) == ("different", "")
    assert told["corr-00000003"]["primary"] == {"type": "number", "length": "", "said": "200"}
    narrow = world.json("report", "--route", LIST, "--field", "currency")
    assert [one["correlation_id"] for one in narrow["examples"]] == [REQUEST]
    whole = world.json("report", "--route", LIST, "--field", "(answer)")
    assert [one["correlation_id"] for one in whole["examples"]] == ["corr-00000003"]
    assert len(world.json("report", "--route", LIST, "--examples", "1")["examples"]) == 1
    text = world("report", "--route", LIST).stdout
    for words in (REQUEST, "items[].currency", "text 1-7", "different", "number 200", "does not decide"):  # fmt: skip
        assert words in text
    assert TAG not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--since", "yesterday"),
        ("report", "--route", "of_tomorrow"),
        ("report", "--field", "currency"),
        ("report", "--route", "lab_orders", "--field", "of_tomorrow"),
        ("inspect", "short", "--reason", "x"),
        ("inspect", REQUEST),
        ("inspect", REQUEST, "--reason", "  "),
        ("ignore", "lab_orders.currency", "--until", "2100-01-01", "--reason", "x"),
        ("ignore", "lab_orders.currency", "--until", "2020-01-01", "--reason", "x"),
        ("ignore", "lab_orders.currency", "--until", f"{NOW + timedelta(days=1):%Y-%m-%d}"),
        ("ignore", "of_tomorrow.currency", "--until", "2100-01-01", "--reason", "x"),
        ("ignore", "lab_orders.", "--until", "2100-01-01", "--reason", "x"),
        ("ignore", "lab_orders.of_tomorrow", "--until", "2100-01-01", "--reason", "x"),
        ("unignore", "lab_orders.currency", "--reason", "x"),
        ("unignore", "lab_orders.currency"),
    ],
)
def test_what_is_not_clear_is_refused(world: World, arguments: tuple[str, ...]) -> None:
    world.put([], [example()])
    assert world(*arguments).exit_code == 3
    assert world.audit() == []


def test_without_a_control_database_it_fails(world: World) -> None:
    world.environment["CONTROL_DATABASE_URL"] = AWAY
    assert world("report").exit_code == 1
    assert world("ignored").exit_code == 1
    assert world("inspect", REQUEST, "--reason", "x").exit_code == 1


# --- ignore


def test_an_ignored_column_decides_nothing_until_its_day(world: World) -> None:
    world.put([count(0, *[WRONG] * 3_000)], [])
    day = NOW + timedelta(days=3)
    words = ("lab_orders.currency", "--until", f"{day:%Y-%m-%d}")
    world.json("ignore", *words, "--reason", "known since May")
    until = datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat()
    subject = {"path": "lab_orders.currency", "until": until}
    assert world.audit() == [("shadow.ignored", "known since May", subject)]
    found = routes_of(world.json("report"))[LIST, "service"]
    assert found["outcome"] == "pass"
    assert found["fields"]["currency"]["ignored"]
    assert found["fields"]["currency"]["wrong"] == 3_000
    for words_ in (("report",), ("report", "--route", LIST)):
        assert f"ignored until {day:%Y-%m-%d}: lab_orders.currency" in world(*words_).stdout
    assert [one["reason"] for one in world.json("ignored")["items"]] == ["known since May"]

    world.json("ignore", *words, "--reason", "and still")
    assert [one["reason"] for one in world.json("ignored")["items"]] == ["and still"]
    assert "and still" in world("ignored").stdout

    world.json("unignore", "lab_orders.currency", "--reason", "mended")
    assert world.json("ignored") == {"items": []}
    assert routes_of(world.json("report"))[LIST, "service"]["outcome"] == "fail"
    assert [action for action, _, _ in world.audit()] == [
        "shadow.ignored", "shadow.ignored", "shadow.unignored",
    ]  # fmt: skip


def test_what_cannot_be_audited_is_not_ignored(world: World) -> None:
    del world.environment["AUDIT_KEYS"]
    day = f"{NOW + timedelta(days=3):%Y-%m-%d}"
    answer = world("ignore", "lab_orders.currency", "--until", day, "--reason", "x")
    assert answer.exit_code == 3
    assert world.json("ignored") == {"items": []}


# --- inspect


@dataclass(kw_only=True)
class Sides:
    """Both sides' rows, and how to change them as their owners."""

    world: World
    owners: Mapping[Side, str]

    def ask(self, side: Side, statement: str, *values: object) -> Any:
        async def asked() -> Any:
            connection = await asyncpg.connect(self.owners[side])
            try:
                return await connection.fetchval(statement, *values)
            finally:
                await connection.close()

        return asyncio.run(asked())

    def order(self) -> tuple[str]:
        return (str(self.ask(Side.LEGACY, "select id from lab_orders order by id limit 1")),)

    def differ(self) -> tuple[str]:
        """An order whose test has another name on either side; a difference in it is on record."""
        key = self.order()
        self.ask(
            Side.LEGACY,
            "update lab_orders set test_name = $2 where id = $1::text::uuid",
            *key,
            "Änna \x1b[31m",
        )
        self.ask(
            Side.SERVICE,
            "update diagnostics.lab_order set test_name = $2 where id = $1::text::uuid",
            *key,
            "Berta",
        )
        self.world.put([], [example(sealed_key=sealed("lab_orders", key), field="test_name")])
        return key


@pytest.fixture
def sides(world: World, legacy: Legacy, own_services: ServicesDatabase) -> Sides:
    world.environment |= {
        "LEGACY_DATABASE_URL": legacy.worker,
        "SERVICES_APPLY_DATABASE_URL": own_services.apply,
    }
    return Sides(world=world, owners={Side.LEGACY: legacy.owner, Side.SERVICE: own_services.owner})


def test_both_rows_are_shown_and_who_looked_is_kept(world: World, sides: Sides) -> None:
    [key] = sides.differ()
    answer = world("inspect", REQUEST, "--reason", "ticket 7")
    assert answer.exit_code == 0, answer.output
    [line] = [one for one in answer.stdout.splitlines() if one.strip().startswith("test_name")]
    assert line.split() == ["test_name", "differs", '"Änna', '\\u001b[31m"', '"Berta"']
    assert "\x1b" not in answer.stdout
    assert "Berta" not in answer.stderr
    assert key in answer.stdout

    tag = resource_tag(ACCESS_KEY.encode(), "lab_orders", key)
    [record] = world.records()
    assert (record["purpose"], record["resource"], record["correlation_id"]) == (
        "break_glass", tag, REQUEST,
    )  # fmt: skip
    folder = Path(world.environment["ACCESS_LOG_FOLDER"])
    assert list(access.inspect(folder, access.Tally())) == []
    [(action, reason, subject)] = world.audit()
    assert (action, reason) == ("shadow.inspected", "ticket 7")
    assert (subject["correlation_id"], len(subject["rows"])) == (REQUEST, 1)
    assert key not in json.dumps(subject)
    assert world.alerts() == [("break_glass", "lab_orders")]


def test_as_json_with_every_digit(world: World, sides: Sides) -> None:
    [key] = sides.differ()
    sides.ask(
        Side.LEGACY,
        """update lab_orders set vendor_payload = '{"n": 12345678901234567890.5}' where id = $1::text::uuid""",
        key,
    )
    answer = world("inspect", REQUEST, "--reason", "x", "--json")
    assert answer.exit_code == 0, answer.output
    assert "12345678901234567890.5" in answer.stdout
    found = json.loads(answer.stdout)
    [row] = found["rows"]
    assert (row["entity"], row["key"]) == ("lab_orders", [key])
    columns = row["columns"]
    assert columns["test_name"] == {
        "legacy": "Änna \x1b[31m", "service": "Berta", "differs": True, "decides": True,
    }  # fmt: skip
    assert {name for name, one in columns.items() if one["differs"]} == {
        "test_name", "vendor_payload", "updated_at",
    }  # fmt: skip
    versions = row["versions"]
    assert versions["legacy"]["row"]["origin"] == "legacy"
    assert versions["service"]["row"]["origin"] == "service"
    assert found["differences"][0]["field"] == "test_name"
    assert TAG not in answer.stdout


def test_equal_rows_of_every_entity_differ_in_nothing(world: World, sides: Sides) -> None:
    entities = sorted({resource.entity for resource in resources()})
    found = []
    for entity in entities:
        at = place(assets()[entity], Side.SERVICE)
        texts = ", ".join(f"{name}::text" for name in at.key)
        statement = f"select array[{texts}] from {at.table} order by {', '.join(at.key)} limit 1"
        key = tuple(sides.ask(Side.SERVICE, statement))
        found.append(example(entity=entity, sealed_key=sealed(entity, key)))
    world.put([], found)
    rows = world.json("inspect", REQUEST, "--reason", "x")["rows"]
    assert sorted(row["entity"] for row in rows) == entities
    for row in rows:
        assert len(row["columns"]) > 3
        assert [n for n, one in row["columns"].items() if one["differs"]] == [], row["entity"]
        assert all(version["row"] for version in row["versions"].values()), row["entity"]
    assert len(world.records()) == len(entities)
    assert sorted(world.alerts()) == [("break_glass", entity) for entity in entities]


def test_a_row_of_one_side_alone(world: World, sides: Sides) -> None:
    key = str(sides.ask(Side.SERVICE, "select id from compliance.task order by id limit 1"))
    sides.ask(Side.SERVICE, "delete from compliance.task where id = $1::text::uuid", key)
    named = {"kind": "visibility", "field": "", "path": "items[]", "entity": "compliance_tasks"}
    world.put([], [example(sealed_key=sealed("compliance_tasks", (key,)), **named)])
    [row] = world.json("inspect", REQUEST, "--reason", "x")["rows"]
    assert row["versions"]["service"]["row"] is None
    assert row["versions"]["service"]["tombstone"]["origin"] == "service"
    assert row["versions"]["legacy"]["row"]
    assert "service" not in row["columns"]["title"]
    assert row["columns"]["title"]["differs"]
    assert "deleted" in world("inspect", REQUEST, "--reason", "x").stdout


def test_a_row_is_shown_once_however_often_it_differs(world: World, sides: Sides) -> None:
    key = sides.differ()
    world.put([], [example(sealed_key=sealed("lab_orders", key)), example(field="status")])
    found = world.json("inspect", REQUEST, "--reason", "x")
    assert (len(found["differences"]), len(found["rows"]), len(world.records())) == (3, 1, 1)


def test_a_value_that_has_no_counterpart_is_said_and_the_other_side_shown(
    world: World, sides: Sides
) -> None:
    [key] = sides.differ()
    sides.ask(
        Side.LEGACY, "alter table lab_orders drop constraint if exists lab_orders_status_check"
    )
    sides.ask(Side.LEGACY, "update lab_orders set price = 'NaN' where id = $1::text::uuid", key)
    answer = world("inspect", REQUEST, "--reason", "x")
    assert answer.exit_code == 1
    assert "legacy: a row of lab_orders cannot be read (price:" in answer.stderr
    assert "Berta" in answer.stdout
    assert "cannot be read" in answer.stdout


def test_a_side_that_is_away_is_said_and_the_other_one_shown(world: World, sides: Sides) -> None:
    sides.differ()
    world.environment["LEGACY_DATABASE_URL"] = AWAY
    answer = world("inspect", REQUEST, "--reason", "x")
    assert (answer.exit_code, "Berta" in answer.stdout) == (1, True)
    assert "legacy: a row of lab_orders cannot be read" in answer.stderr
    assert len(world.records()) == len(world.audit()) == 1


def test_without_the_access_record_nothing_is_shown(world: World, sides: Sides) -> None:
    sides.differ()
    in_the_way = world.run / "a-file"
    in_the_way.write_text("")
    world.environment["ACCESS_LOG_FOLDER"] = str(in_the_way)
    answer = world("inspect", REQUEST, "--reason", "x")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "access record cannot be written" in answer.stderr


@pytest.mark.parametrize("gone", ["audit", "alerts"])
def test_without_the_audit_chain_or_the_alert_nothing_is_shown(
    world: World, sides: Sides, gone: str
) -> None:
    sides.differ()

    async def drop(pool: asyncpg.Pool) -> None:
        await pool.execute(f"drop table control.{gone}")

    world.control(drop)
    answer = world("inspect", REQUEST, "--reason", "x")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "cannot be used" in answer.stderr
    assert bool(list((world.run / "access").glob("*"))) is (gone == "alerts")


@pytest.mark.parametrize("missing", ["AUDIT_KEYS", "ACCESS_LOG_KEY", "FIELD_KEYS"])
def test_without_a_key_nothing_is_shown(world: World, sides: Sides, missing: str) -> None:
    sides.differ()
    del world.environment[missing]
    answer = world("inspect", REQUEST, "--reason", "x")
    assert (answer.exit_code, answer.stdout) == (3, "")
    assert missing in answer.stderr
    assert world.audit() == []


def test_what_is_about_no_row_opens_nothing(world: World) -> None:
    world.put([], [example(kind="status", field="", path="status")])
    answer = world("inspect", REQUEST, "--reason", "x")
    assert answer.exit_code == 0, answer.output
    assert "nothing to look at" in answer.stdout
    assert (world.audit(), world.records()) == ([], [])


KEY = ("6f9619ff-8b86-d011-b42d-00cf4fc964ff",)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"correlation_id": "corr-of-others"}, "Nothing is kept of it"),
        ({"at": NOW - timedelta(days=KEPT_DAYS, minutes=1)}, "is older"),
        ({"sealed_key": sealed("lab_orders", KEY, ring="f0")}, "key f0"),
        ({"sealed_key": sealed("lab_orders", KEY)[:-1]}, "does not open"),
        ({"sealed_key": sealed("appointments", KEY)}, "does not open"),
        ({"sealed_key": sealed("lab_orders", KEY, request="corr-of-others")}, "does not open"),
        ({"sealed_key": sealed("lab_orders", ("Anna",))}, "is no key of lab_orders"),
        ({"sealed_key": sealed("lab_orders", (*KEY, *KEY))}, "is no key of lab_orders"),
        ({"sealed_key": sealed("of_old", KEY), "entity": "of_old"}, "is no key of of_old"),
    ],
)
def test_what_cannot_be_opened_is_said_and_nothing_recorded(
    world: World, values: dict[str, Any], said: str
) -> None:
    world.put([], [example(**{"sealed_key": sealed("lab_orders", KEY), **values})])
    answer = world("inspect", REQUEST, "--reason", "x")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert said in answer.stderr
    assert "Anna" not in answer.output
    assert (world.audit(), world.records()) == ([], [])


def test_a_key_that_does_not_open_keeps_no_other_row_back(world: World, sides: Sides) -> None:
    sides.differ()
    world.put([], [example(sealed_key=sealed("lab_orders", KEY, ring="f0"))])
    answer = world("inspect", REQUEST, "--reason", "x")
    assert (answer.exit_code, "Berta" in answer.stdout) == (1, True)
    assert "key f0" in answer.stderr
