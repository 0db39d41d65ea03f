"""Alerts reach a real HTTP receiver at least once, whatever fails on the way, and nobody who rings waits for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from runtime import tasks
from runtime.alertclass import CONFLICT, DIVERGENCE, QUARANTINE
from runtime.alertdesk import AlertDesk
from runtime.alertnotifier import keep_notified, notify
from runtime.alerts import Alerts
from runtime.alertwebhook import HttpWebhook, NotDelivered
from runtime.auditchain import AuditChain
from runtime.control_database import migrate_control
from runtime.flagstore import StoreUnavailable
from runtime.postgres import create_pool
from runtime.settings import load
from runtime.settingserror import SettingsError
from tests.fakes.keys import keyring
from tests.until import until_async

pytestmark = pytest.mark.stack


class Receiver:
    """Keeps what it took; `status` and `refused` say what it answers, and while `open` is not set nothing."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.heads: list[bytes] = []
        self.status = 200
        self.refused = ""
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            [length] = [
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ]
            message = json.loads(await reader.readexactly(length))
            self.asked.set()
            await self.open.wait()
            status = 400 if message["groupLabels"]["alertname"] == self.refused else self.status
            if status < 300:
                self.heads.append(head)
                self.taken.append(message)
            writer.write(
                b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def told(self) -> list[tuple[str, str]]:
        """Class and status of every alert, in the order in which it was told."""
        return [
            (one["labels"]["alertname"], one["status"])
            for message in self.taken
            for one in message["alerts"]
        ]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?team=1"
    yield receiver
    receiver.open.set()
    server.close()


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=6)
    yield pool
    await pool.close()


@pytest.fixture
async def webhook(receiver: Receiver) -> AsyncIterator[HttpWebhook]:
    webhook = HttpWebhook.of(load(profile="sandbox", alert_webhook_url=receiver.url))
    assert webhook is not None
    yield webhook
    await webhook.upstream.close()


async def test_what_opens_and_what_is_over_is_told_once(
    pool: asyncpg.Pool, receiver: Receiver, webhook: HttpWebhook
) -> None:
    alerts = Alerts(pool)
    await alerts.ring(DIVERGENCE, entity="lab_orders")
    rung = await alerts.ring(CONFLICT, entity="a")
    await alerts.ring(CONFLICT, entity="b")
    assert await notify(pool, webhook) == 3
    assert receiver.told() == [
        ("divergence", "firing"),
        ("conflict", "firing"),
        ("conflict", "firing"),
    ]
    assert len(receiver.taken) == 2, "one message for each class"
    assert receiver.heads[0].startswith(b"POST /hook?team=1 HTTP/1.1\r\n")
    assert b"content-type: application/json" in receiver.heads[0]

    await alerts.ring(DIVERGENCE, entity="lab_orders")
    desk = AlertDesk(pool, AuditChain(keyring("a1"), writer="control"))
    await desk.acknowledge(rung.id, by="olga")
    assert await notify(pool, webhook) == 0, "neither a repeat nor an acknowledgement is news"

    await alerts.resolve(CONFLICT, entity="a")
    assert await notify(pool, webhook) == 1
    assert receiver.told()[3:] == [("conflict", "resolved")]
    assert await notify(pool, webhook) == 0
    await alerts.ring(CONFLICT, entity="a")
    assert await notify(pool, webhook) == 1
    assert receiver.taken[-1]["alerts"][0]["annotations"]["follows"] == str(rung.id)


@pytest.mark.parametrize("status", [300, 400, 429, 500, 503])
async def test_what_was_not_taken_is_told_again(
    pool: asyncpg.Pool, receiver: Receiver, webhook: HttpWebhook, status: int
) -> None:
    await Alerts(pool).ring(DIVERGENCE)
    receiver.status = status
    with pytest.raises(NotDelivered, match=str(status)):
        await notify(pool, webhook)
    receiver.status = 204
    assert await notify(pool, webhook) == 1
    assert receiver.told() == [("divergence", "firing")]


async def test_a_class_that_is_refused_keeps_no_other_back(
    pool: asyncpg.Pool, receiver: Receiver, webhook: HttpWebhook
) -> None:
    alerts = Alerts(pool)
    for number in range(120):
        await alerts.ring(DIVERGENCE, entity=f"{'a' * (number // 26 + 1)}{chr(97 + number % 26)}")
    await alerts.ring(CONFLICT)
    receiver.refused = "divergence"
    with pytest.raises(NotDelivered):
        await notify(pool, webhook)
    assert receiver.told() == [("conflict", "firing")]
    receiver.refused = ""
    assert [await notify(pool, webhook) for _ in range(3)] == [100, 20, 0]


async def test_who_rings_does_not_wait_for_the_receiver(
    pool: asyncpg.Pool, receiver: Receiver, webhook: HttpWebhook
) -> None:
    alerts = Alerts(pool)
    await alerts.ring(DIVERGENCE)
    receiver.open.clear()
    telling = tasks.spawn(notify(pool, webhook), name="telling")
    await receiver.asked.wait()
    assert (await alerts.ring(DIVERGENCE)).count == 2
    await alerts.resolve(DIVERGENCE)
    assert not telling.done()
    assert await notify(pool, webhook) == 0, "it is another one's turn"
    receiver.open.set()
    assert await telling == 1
    assert await notify(pool, webhook) == 1, "it was over before the receiver had answered"
    assert receiver.told() == [("divergence", "firing"), ("divergence", "resolved")]


async def test_who_is_stopped_half_way_gives_its_turn_back(
    pool: asyncpg.Pool, receiver: Receiver, webhook: HttpWebhook
) -> None:
    await Alerts(pool).ring(DIVERGENCE)
    receiver.open.clear()
    telling = tasks.spawn(notify(pool, webhook), name="telling")
    await receiver.asked.wait()
    locks = "select count(*) from pg_locks where locktype = 'advisory'"
    assert await pool.fetchval(locks) == 1
    await tasks.stop(telling)
    assert await pool.fetchval(locks) == 0


async def test_who_dies_between_answer_and_mark_leaves_it_to_the_next(
    pool: asyncpg.Pool, receiver: Receiver, webhook: HttpWebhook
) -> None:
    await Alerts(pool).ring(DIVERGENCE)
    await pool.execute("alter table control.alerts add constraint no_mark check (notified is null)")
    with pytest.raises(StoreUnavailable):
        await notify(pool, webhook)
    await pool.execute("alter table control.alerts drop constraint no_mark")
    assert await notify(pool, webhook) == 1
    assert receiver.told() == [("divergence", "firing")] * 2
    assert receiver.taken[0] == receiver.taken[1], "the same, so that a receiver can tell"


async def test_a_dead_receiver_and_a_dead_database_are_outlived(
    pool: asyncpg.Pool, receiver: Receiver, webhook: HttpWebhook
) -> None:
    alerts = Alerts(pool)
    receiver.status = 500
    keeper = tasks.spawn(keep_notified(pool, webhook, every=0.02, longest_wait=0.05), name="keeper")
    await alerts.ring(QUARANTINE, detail="refused")
    await receiver.asked.wait()
    await pool.execute("alter table control.alerts rename to gone")
    await pool.execute("alter table control.gone rename to alerts")
    receiver.status = 200

    async def told() -> bool:
        return receiver.told() == [("quarantine", "firing")]

    await until_async(told)
    await tasks.stop(keeper)


async def test_nobody_listens() -> None:
    webhook = HttpWebhook.of(load(profile="sandbox", alert_webhook_url="http://127.0.0.1:1"))
    assert webhook is not None
    with pytest.raises(NotDelivered, match="UpstreamUnreachable"):
        await webhook.post(b"{}")
    await webhook.upstream.close()


def test_without_a_url_nobody_is_told() -> None:
    assert HttpWebhook.of(load(profile="sandbox")) is None


@pytest.mark.parametrize("url", ["ftp://h/a-secret", "http://a-secret@h/", "a-secret"])
def test_a_url_that_cannot_be_used_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="ALERT_WEBHOOK_URL") as refused:
        HttpWebhook.of(load(profile="sandbox", alert_webhook_url=url))
    assert "a-secret" not in str(refused.value)
