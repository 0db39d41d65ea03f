"""The issuer's keys: how often they are fetched, what survives when they cannot be, which of them are used."""

import asyncio
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from benchmarks.token_issuer import TokenIssuer
from runtime.jwks import LARGEST_SET, KeySet, KeysUnavailable, is_key_id, parse_key_set
from runtime.tasks import spawn
from tests.until import until_async

pytestmark = pytest.mark.unit

ISSUER = TokenIssuer("https://ref.supabase.example/auth/v1")


def served(document: object = None) -> bytes:
    return json.dumps(document or ISSUER.key_set()).encode()


class Issuer:
    """Gives these answers, the last one for ever; counts how often it is asked, and how often at once."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> bytes:
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def asked(issuer: Issuer, count: int) -> None:
    async def so_often() -> bool:
        return issuer.asked == count

    await until_async(so_often)


async def test_unknown_kids_cause_one_fetch_per_cooldown() -> None:
    issuer, clock = Issuer(served()), Clock()
    keys = KeySet(issuer, clock=clock)
    for number in range(1000):
        assert await keys.key(f"bogus-{number}") is None
    assert issuer.asked == 1
    clock.now = 10.0
    assert await keys.key("bogus") is None
    assert issuer.asked == 2
    assert await keys.key("ec") is not None
    assert issuer.asked == 2


async def test_many_at_once_cause_one_fetch() -> None:
    issuer = Issuer(served())
    issuer.gate.clear()
    keys = KeySet(issuer, clock=Clock())
    waiting = asyncio.gather(*(keys.key("ec") for _ in range(50)))
    await asked(issuer, 1)
    issuer.gate.set()
    assert None not in await waiting
    assert issuer.asked == 1


async def test_an_old_set_is_refreshed_behind_the_back_of_whoever_asks() -> None:
    issuer, clock = Issuer(served()), Clock()
    keys = KeySet(issuer, clock=clock)
    await keys.need()
    clock.now = 301.0
    issuer.gate.clear()
    for _ in range(10):
        assert await keys.key("ec") is not None, "at once, though the issuer does not answer"
    await asked(issuer, 2)
    issuer.gate.set()
    clock.now = 400.0
    assert await keys.key("ec") is not None
    assert issuer.asked == 2, "fresh again"


@pytest.mark.parametrize(
    "bad",
    [
        OSError(),
        TimeoutError(),
        b"",
        b"<html>",
        b"[]",
        b'{"keys":[]}',
        b'{"keys":null}',
        b'{"keys":5}',
        b'{"keys":["text", 5, null, []]}',
        b"[" * 60_000,
        b"x" * 2_000_000,
        b'{"keys":[{"kty":"oct","kid":"ec","k":"AA"}]}',
    ],
    ids=lambda bad: repr(bad)[:30],
)
async def test_the_last_good_set_survives_failures_for_a_day(bad: bytes | Exception) -> None:
    issuer, clock = Issuer(served(), bad), Clock()
    keys = KeySet(issuer, clock=clock)
    assert await keys.key("ec") is not None
    for times, hour in enumerate((1, 12, 23), start=1):
        clock.now = hour * 3600.0
        assert await keys.key("ec") is not None
        await asked(issuer, 1 + times)
    assert keys.generation == 1
    clock.now = 24 * 3600 + 1.0
    assert keys.known("ec") is None
    with pytest.raises(KeysUnavailable):
        await keys.key("ec")
    with pytest.raises(KeysUnavailable):
        await keys.need()


async def test_when_the_issuer_is_back_so_are_its_keys() -> None:
    issuer, clock = Issuer(OSError(), served()), Clock()
    keys = KeySet(issuer, clock=clock)
    with pytest.raises(KeysUnavailable):
        await keys.key("ec")
    clock.now = 9.9
    with pytest.raises(KeysUnavailable):
        await keys.need()
    assert issuer.asked == 1
    clock.now = 10.0
    await keys.need()
    assert keys.known("ec") is not None


async def test_a_rotated_key_replaces_the_old_one() -> None:
    clock = Clock()
    keys = KeySet(Issuer(served(), served(ISSUER.key_set(ec_kid="new"))), clock=clock)
    assert await keys.key("ec") is not None
    clock.now = 11.0
    assert await keys.key("new") is not None
    assert await keys.key("ec") is None
    assert keys.generation == 2


async def test_only_other_keys_are_a_new_generation() -> None:
    clock = Clock()
    same = {"keys": [{**entry, "x-note": "moved"} for entry in reversed(ISSUER.key_set()["keys"])]}
    other = {"keys": [{**TokenIssuer("").key_set()["keys"][0], "kid": "ec"}]}
    keys = KeySet(Issuer(served(), served(same), served(other)), clock=clock)
    await keys.need()
    for generation in (1, 2):
        before = keys.known("ec")
        clock.now += 301
        await keys.key("bogus")
        assert keys.generation == generation
        assert (keys.known("ec") == before) is (generation == 1)


async def test_while_the_issuer_is_silent_requests_start_no_work(monkeypatch) -> None:
    started = []

    def counted(work: Any, *, name: str) -> Any:
        started.append(name)
        return spawn(work, name=name)

    monkeypatch.setattr("runtime.jwks.spawn", counted)
    issuer, clock = Issuer(served(), OSError()), Clock()
    keys = KeySet(issuer, clock=clock)
    await keys.need()
    clock.now = 301.0
    keys.freshen()
    await asked(issuer, 2)
    clock.now = 310.0
    for _ in range(100):
        assert await keys.key("ec") is not None
    assert len(started) == 1


def test_a_large_set_is_none() -> None:
    with pytest.raises(ValueError, match="size"):
        parse_key_set(served({**ISSUER.key_set(), "x": "x" * LARGEST_SET}))


def test_keys_that_cannot_be_used_are_left_out() -> None:
    good = ISSUER.key_set()["keys"][0]
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    private: dict[str, Any] = ECAlgorithm.to_jwk(ISSUER.ec, as_dict=True)
    for bad in (
        {**good, "kid": "x" * 200},
        {**good, "kid": "../ec"},
        {**good, "kid": 5},
        {**good, "kid": ...},
        {**good, "use": "enc"},
        {**good, "alg": "HS256"},
        {**good, "alg": "ES384"},
        {**good, "x": "!!"},
        {**good, "x": 5},
        {**good, "y": good["x"]},
        {**good, "crv": "P-521"},
        {**good, "crv": ["P-256"]},
        {**good, "kty": "oct", "k": "AAAA"},
        {**private, "kid": "private"},
        {**RSAAlgorithm.to_jwk(small.public_key(), as_dict=True), "kid": "small"},
        "text",
    ):
        bad = {k: v for k, v in bad.items() if v is not ...} if isinstance(bad, dict) else bad
        assert set(parse_key_set(served({"keys": [bad, {**good, "kid": "ok"}]}))) == {"ok"}


@pytest.mark.parametrize(
    "kid", ["ec", "a" * 128, "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "abc+def=", "2024.01", "-x_"]
)
def test_key_ids(kid: str) -> None:
    assert is_key_id(kid)


@pytest.mark.parametrize(
    "kid", ["", "a" * 129, "a/b", "a\\b", "..", "a..b", ".a", "a b", "a\n", "é", 5, None, b"ec"]
)
def test_what_is_no_key_id(kid: object) -> None:
    assert not is_key_id(kid)
