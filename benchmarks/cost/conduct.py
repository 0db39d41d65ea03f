"""Whether a variant does the work that its row says, asked before anything is measured.

A row whose variant does not is still measured, and says so; no claim holds by it.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from benchmarks.cost.bodies import ANSWERS
from benchmarks.cost.crowd import User
from benchmarks.cost.place import Place
from benchmarks.cost.upstream import CHECK_TARGET
from benchmarks.cost.variant import Variant, Work
from catalog.stage import Side

_LOG_SECONDS = 5.0
_RECORD_SECONDS = 2.0
_IN_A_ROW = 10


def faults(variant: Variant, place: Place) -> list[str]:
    """What it does not do, a few words each."""
    url = f"http://127.0.0.1:{place.port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
        try:
            return list(_faults(client, variant, place))
        except httpx.TransportError as error:
            return [f"{type(error).__name__} while it was checked"]


def _faults(client: httpx.Client, variant: Variant, place: Place) -> Iterator[str]:
    yield from _answers(client, place)
    if variant.work is not Work.NONE:
        yield from _reuses_connections(client, variant, place)
    if variant.work is Work.FULL:
        yield from _refuses(client, place)
        yield from _goes_by_the_flag(client, variant, place)
        yield from _correlates_and_logs(client, variant, place)


def _answers(client: httpx.Client, place: Place) -> Iterator[str]:
    for answer in ANSWERS:
        reply = _get(client, answer.target, place.crowd.users[0])
        if reply.status_code != 200 or reply.text != answer.service:
            yield f"{answer.name}: {reply.status_code}, or not the body that the upstream has"


def _refuses(client: httpx.Client, place: Place) -> Iterator[str]:
    # any refusal will do: Envoy says 403 for an audience, Fastify 500 for an algorithm; ours is held to 401 elsewhere
    answer = ANSWERS[0]
    for wrong, token in place.crowd.refused().items():
        reply = _get(client, answer.target, User(sub="", token=token))
        if reply.status_code < 400:
            yield f"a token with {wrong} was answered by {reply.status_code}"
    if client.get(answer.target).status_code != 401:
        yield "no token was not answered by 401"


def _goes_by_the_flag(client: httpx.Client, variant: Variant, place: Place) -> Iterator[str]:
    crowd = place.crowd
    wanted = [(crowd.left_behind, Side.LEGACY)]
    service = Side.LEGACY if variant.answered_by_legacy else Side.SERVICE
    wanted += [(user, service) for user in crowd.users[:20]]
    for user, side in wanted:
        cid = _new_id()
        _get(client, CHECK_TARGET, user, cid)
        behind = [side.other] if variant.asks_behind and user is not crowd.left_behind else []
        # A further one would be legacy's, of a sample for noise.
        if _sides_asked(place, cid, 1 + len(behind))[:2] != [side, *behind]:
            yield f"a user whose flag says {side} was not sent there"
            return


def _correlates_and_logs(client: httpx.Client, variant: Variant, place: Place) -> Iterator[str]:
    user = place.crowd.users[3]
    given = _new_id()
    replies = [_get(client, CHECK_TARGET, user, given), _get(client, CHECK_TARGET, user)]
    ids = [reply.headers.get("x-correlation-id", "") for reply in replies]
    if ids[0] != given:
        yield "a correlation id that was sent does not come back"
    if not ids[1]:
        yield "no correlation id is made"
    if not all(_sides_asked(place, cid) for cid in ids):
        yield "the correlation id does not reach the upstream"
    for cid in ids:
        lines = _lines(place, cid, 1 + variant.asks_behind)
        if len(lines) not in _records(variant) or user.sub not in json.dumps(lines):
            yield f"{len(lines)} JSON lines in its access log for one request"
            return


def _reuses_connections(client: httpx.Client, variant: Variant, place: Place) -> Iterator[str]:
    before = len(_seen(place))
    for _ in range(_IN_A_ROW):
        _get(client, CHECK_TARGET, place.crowd.users[0])
    connections = {one["connection"] for one in _seen(place)[before:]}
    # Questions behind answers come several at a time.
    if len(connections) > (_IN_A_ROW if variant.asks_behind else 2):
        yield f"{len(connections)} upstream connections for {_IN_A_ROW} requests in a row"


def _records(variant: Variant) -> range:
    """How many access lines a request may have: with a shadow its own and the other side's, and legacy's for a sample of noise."""
    return range(2, 4) if variant.asks_behind else range(1, 2)


def _get(client: httpx.Client, target: str, user: User, cid: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {user.token}"}
    return client.get(target, headers=headers | ({"x-correlation-id": cid} if cid else {}))


def _new_id() -> str:
    return f"bench-{uuid.uuid4()}"


def _sides_asked(place: Place, cid: str, count: int = 1) -> list[str]:
    """Sides that the upstream was asked as with that id; waits a little, since it records after it has answered."""
    return _within(
        _RECORD_SECONDS, lambda: [one["side"] for one in _seen(place) if one["cid"] == cid], count
    )


def _seen(place: Place) -> list[Any]:
    """What the upstream has recorded of the checks so far."""
    lines = place.upstream.record.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _lines(place: Place, cid: str, count: int) -> list[Any]:
    """Access lines with that id, from any log of the variant; waits a little, since logs are written in batches."""

    def find() -> list[Any]:
        logs = [place.access_log, *(place.folder / "access").rglob("*")]
        lines = [
            line
            for log in logs
            if log.is_file()
            for line in log.read_text(errors="replace").splitlines(keepends=True)
            if cid in line and line.endswith("\n")
        ]
        return [json.loads(line) for line in lines if _is_json(line)]

    return _within(_LOG_SECONDS, find, count)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _within(seconds: float, find: Callable[[], list[Any]], count: int) -> list[Any]:
    """What is found, as soon as there is that much of it; whatever there is after that time."""
    deadline = time.monotonic() + seconds
    while len(found := find()) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
