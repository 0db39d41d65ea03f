"""`banyan audit list|verify`: over a sandbox, and over chains that were tampered with."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.auditanchor import AnchorFile, anchor
from runtime.auditchain import AuditChain, Event
from runtime.control_database import migrate_control
from runtime.stack import Stack
from tests.fakes.keys import key_setting, keyring

pytestmark = pytest.mark.stack

CHAIN = AuditChain(keyring("a1"), writer="control")


@pytest.fixture
def run(tmp_path: Path, empty_dsn: str) -> Path:
    """A run folder whose control database holds five records, anchored."""

    async def fill() -> None:
        await migrate_control(empty_dsn)
        connection = await asyncpg.connect(empty_dsn)
        for number in range(5):
            event = Event(action="flags.ramp", actor="olga", reason="", subject={"version": number})
            async with connection.transaction():
                await CHAIN.append(connection, event)
        await anchor(connection, AnchorFile(tmp_path / "anchors.jsonl"))
        await connection.close()

    asyncio.run(fill())
    write(tmp_path, empty_dsn, key_setting("a1"))
    return tmp_path


def write(run: Path, dsn: str, keys: str) -> None:
    environment = {
        "PROFILE": "sandbox",
        "CONTROL_DATABASE_URL": dsn,
        "AUDIT_KEYS": keys,
        "AUDIT_ANCHOR_FILE": str(run / "anchors.jsonl"),
    }
    Stack(pid=0, started_at="", environment=environment).write(run / "stack.json")


def audit(run: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments, "--run", str(run)])


def tamper(dsn: str, statement: str) -> None:
    async def do() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("alter table control.audit disable trigger user")
        await connection.execute("alter table control.audit_heads disable trigger user")
        await connection.execute(statement)
        await connection.close()

    asyncio.run(do())


def test_a_good_chain_is_told(run: Path) -> None:
    told = audit(run, "verify")
    assert (told.exit_code, told.stdout) == (0, "control: 5 good records, anchored to 5\n")
    assert json.loads(audit(run, "verify", "--json").stdout) == {
        "ok": True,
        "chains": [{"writer": "control", "records": 5, "broken": None, "anchored": 5}],
    }


def test_the_first_bad_record_is_named(run: Path, empty_dsn: str) -> None:
    tamper(empty_dsn, "update control.audit set reason = 'Zoe Nunez' where n = 3")
    told = audit(run, "verify")
    assert told.exit_code == 1
    assert "control: record 3 is not what was written" in told.stderr
    as_json = audit(run, "verify", "--json")
    assert as_json.exit_code == 1
    [chain] = json.loads(as_json.stdout)["chains"]
    assert chain["broken"] == {"n": 3, "fault": "altered", "key_id": "a1"}
    assert "Zoe" not in told.output + as_json.output


def test_a_cut_tail_is_told_and_a_missing_anchor_too(run: Path, empty_dsn: str) -> None:
    tamper(
        empty_dsn,
        "delete from control.audit where n > 3; update control.audit_heads"
        " set n = 3, hash = (select hash from control.audit where n = 3)",
    )
    told = audit(run, "verify")
    assert (told.exit_code, "record 4 and all behind it" in told.stderr) == (1, True)
    (run / "anchors.jsonl").unlink()
    told = audit(run, "verify")
    assert (told.exit_code, "Without an anchor" in told.stderr) == (0, True)


def test_a_lost_key_is_named(run: Path, empty_dsn: str) -> None:
    write(run, empty_dsn, key_setting("a2"))
    told = audit(run, "verify")
    assert (told.exit_code, "key a1, which AUDIT_KEYS does not hold" in told.stderr) == (1, True)


def test_what_it_cannot_read_it_says(run: Path) -> None:
    write(run, "postgresql://127.0.0.1:1/none", key_setting("a1"))
    told = audit(run, "verify")
    assert (told.exit_code, "cannot be read" in told.stderr) == (1, True)
    assert audit(run, "verify", "--what").exit_code == 2


@pytest.fixture
def empty_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "banyan.yaml").write_text("{}")
    monkeypatch.setenv("BANYAN_CONFIG", str(tmp_path / "banyan.yaml"))


@pytest.mark.usefixtures("empty_configuration")
def test_without_keys_it_says_which_setting(tmp_path: Path) -> None:
    told = audit(tmp_path / "nowhere", "verify")
    assert (told.exit_code, "AUDIT_KEYS is not set" in told.stderr) == (3, True)


def test_a_sandbox_keeps_a_chain(world: Stack, world_folder: Path) -> None:
    run = world_folder / "run"
    made = CliRunner().invoke(
        app, ["flags", "ramp", "lab-orders", "shadow", "5", "--reason", "try", "--run", str(run)]
    )
    assert made.exit_code == 0, made.output
    CliRunner().invoke(app, ["flags", "ramp", "lab-orders", "shadow", "0", "--run", str(run)])
    told = audit(run, "verify")
    assert told.exit_code == 0, told.output
    listed = json.loads(audit(run, "list", "--limit", "500", "--json").stdout)["items"]
    assert ("flags.ramp", "try") in [(item["action"], item["reason"]) for item in listed]
    assert "flags.ramp" in audit(run, "list").stdout
