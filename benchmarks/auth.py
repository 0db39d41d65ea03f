"""Identity, measured: bad tokens over HTTP, rotation and loss of the issuer's keys, revocation, and what a check costs."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bad_tokens import bad_tokens, unknown_kids
from benchmarks.claim import Claim
from benchmarks.own_valkey import own_valkey
from benchmarks.size import Size
from benchmarks.token_issuer import TokenIssuer
from benchmarks.world import gateway
from catalog.service import Service
from gateway.credentials import user_token
from runtime import redis
from runtime.auditchain import AuditChain
from runtime.control_database import migrate_control
from runtime.identity import Identity, TokenRefused, Verifier
from runtime.jwks import KeySet, KeysUnavailable
from runtime.keyring import Keyring
from runtime.postgres import create_pool
from runtime.revocations import Kind
from runtime.revocationstore import RevocationStore
from runtime.stack import Stack
from sandbox.engines import postgres

TOPIC = "gateway"
ISSUER = "http://127.0.0.1/auth/v1"
COOLDOWN_SECONDS = 10.0
REFUSALS = frozenset({0, 400, 401, 431})
"""0: hung up on, as what is too large to be read may be."""
_KEYS = Keyring(newest="benchmark", keys={"benchmark": b"k" * 32})
_ANSWER_SECONDS = 30.0
_HOUR = 3600


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every claim about identity. Brings its own issuer and engines."""
    for measured in (over_http, an_hour_without_the_issuer, revocation, cost):
        async for claim in measured(size):
            yield claim


# --- the issuer and the gateway


@dataclass(kw_only=True)
class KeyServer:
    """The issuer's key set over HTTP, on a port of its own; it can be stopped and started again."""

    issuer: TokenIssuer
    document: bytes = b""
    port: int = 0
    fetches: int = 0
    last_fetch: float = 0.0
    _server: asyncio.Server | None = field(default=None, init=False)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def cooled_down(self) -> None:
        """Until the gateway may ask again."""
        left = self.last_fetch + COOLDOWN_SECONDS + 0.2 - time.monotonic()
        await asyncio.sleep(max(0.0, left))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.fetches += 1
        self.last_fetch = time.monotonic()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\n\r\n%b" % (len(self.document), self.document))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    server = KeyServer(issuer=TokenIssuer(ISSUER))
    server.document = json.dumps(server.issuer.key_set()).encode()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def no_world(folder: Path, keys: KeyServer, redis_url: str | None = None) -> Stack:
    """Settings of a gateway that answers a user's own flags, and nothing that needs anybody behind it."""
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PROFILE": "sandbox",
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_JWKS_URL": f"http://127.0.0.1:{keys.port}/jwks.json",
        "TOKEN_HS256_SECRET": keys.issuer.secret,
        "LEGACY_REST_URL": nowhere,
        "SERVICE_URLS": json.dumps(dict.fromkeys(Service, nowhere)),
        "LEGACY_PUBLISHABLE_KEY": "sb_publishable_none",
        "INTERNAL_TOKEN_KEY": "k" * 32,
        "CURSOR_KEY": "k" * 32,
        "ACCESS_LOG_KEY": "k" * 32,
        "ACCESS_LOG_FOLDER": str(folder / "access"),
        # One user asks thousands of times.
        "USER_REQUESTS_PER_SECOND": "100000",
        **({"REDIS_URL": redis_url} if redis_url else {}),
    }
    return Stack(pid=0, started_at="", environment=environment)


async def ask(url: str, token: bytes) -> int:
    """The status of a request for the caller's own flags, byte for byte with this token; 0 if it was hung up on.

    Raises TimeoutError.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    loop = asyncio.get_running_loop()
    began = loop.time()
    alarm = loop.call_later(_ANSWER_SECONDS, writer.transport.abort)
    try:
        writer.write(
            b"POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
            b"content-length: 2\r\nauthorization: Bearer %b\r\n\r\n{}" % token
        )
        line = await reader.readline()
    except ConnectionError:
        line = b""
    finally:
        alarm.cancel()
        writer.close()
    if loop.time() - began >= _ANSWER_SECONDS:
        raise TimeoutError("no answer")
    words = line.split(b" ")
    return int(words[1]) if len(words) > 1 else 0


# --- over HTTP


async def over_http(size: Size) -> AsyncIterator[Claim]:
    """One gateway process: what it takes, what it does not, and how often it asks the issuer."""
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name, ExitStack() as running:
        folder = Path(name)
        async with key_server() as keys:
            started = await asyncio.to_thread(
                running.enter_context, gateway(no_world(folder, keys), folder, name="auth")
            )
            good = [keys.issuer.mint(kid=kid) for kid in ("ec", "rsa", "ed")]
            good.append(keys.issuer.mint_hs256())
            answered = [await ask(started.url, token) for token in good]
            if set(answered) != {200}:
                raise RuntimeError(f"good tokens are answered {answered}")
            async for claim in _bad(started.url, keys, rounds=size.of(3, 1)):
                yield claim
            yield await _bogus_keys(started.url, keys, rounds=size.of(20, 1))
            yield await _rotation(started.url, keys, rotations=size.of(5, 1))
            yield await _issuer_stopped(started.url, keys, seconds=size.of(30, 2))


async def _bad(url: str, keys: KeyServer, *, rounds: int) -> AsyncIterator[Claim]:
    fetches, statuses, taken = keys.fetches, [], []
    for _ in range(rounds):
        for case in bad_tokens(keys.issuer):
            status = await ask(url, case.token)
            statuses.append(status)
            if status not in REFUSALS:
                taken.append(f"{case.name}: {status}")
    told = {status: statuses.count(status) for status in sorted(set(statuses))}
    distinct = len({case.name for case in bad_tokens(keys.issuer)})
    yield Claim(
        topic=TOPIC,
        claim="auth: bad tokens that a gateway takes",
        value=len(taken),
        unit="bad tokens not refused",
        target="0 of at least 300",
        ok=not taken and distinct >= 300,
        n=len(statuses),
        how=(
            f"{distinct} distinct bad tokens (benchmarks/bad_tokens.py), {rounds} times, each wrong in one thing, on raw sockets to"
            f" one gateway process with ES256, RS256, EdDSA and HS256 in use; statuses {told}{_first(taken)}"
        ),
    )
    fetched = keys.fetches - fetches
    yield Claim(
        topic=TOPIC,
        claim="auth: key fetches that bad tokens cause",
        value=fetched,
        unit="fetches",
        target="0",
        ok=fetched == 0,
        n=len(statuses),
        how="counted by the issuer's server during the same requests",
    )


async def _bogus_keys(url: str, keys: KeyServer, *, rounds: int) -> Claim:
    await keys.cooled_down()
    fetches, began, statuses = keys.fetches, time.monotonic(), []
    for _ in range(rounds):
        statuses += [await ask(url, token) for token in unknown_kids(keys.issuer)]
    seconds = time.monotonic() - began
    fetched, allowed = keys.fetches - fetches, 1 + int(seconds / COOLDOWN_SECONDS)
    return Claim(
        topic=TOPIC,
        claim="auth: key fetches that unknown key ids cause",
        value=fetched,
        unit="fetches",
        target=f"<= 1 per {COOLDOWN_SECONDS:g} s",
        ok=fetched <= allowed and set(statuses) == {401},
        n=len(statuses),
        how=f"{len(statuses)} else good tokens with {len(unknown_kids(keys.issuer))} unknown ids within {seconds:.1f} s",
    )


async def _rotation(url: str, keys: KeyServer, *, rotations: int) -> Claim:
    """A new key id in place of the old one: its first token is answered, and the old key's is not any more."""
    fetched, wrong, old = [], [], "ec"
    for number in range(rotations):
        before = keys.issuer.mint(header={"kid": old})
        if await ask(url, before) != 200:
            wrong.append(f"rotation {number}: the old key is refused beforehand")
        new = f"rotated-{number}"
        keys.document = json.dumps(keys.issuer.key_set(ec_kid=new)).encode()
        await keys.cooled_down()
        fetches = keys.fetches
        if await ask(url, keys.issuer.mint(header={"kid": new})) != 200:
            wrong.append(f"rotation {number}: the new key is refused")
        if await ask(url, before) != 401:
            wrong.append(f"rotation {number}: the old key is still taken")
        if await ask(url, keys.issuer.mint(kid="rsa")) != 200:
            wrong.append(f"rotation {number}: the other keys are refused")
        fetched.append(keys.fetches - fetches)
        old = new
    return Claim(
        topic=TOPIC,
        claim="auth: a rotated key is accepted",
        value=max(fetched),
        unit="refreshes until its first token is answered",
        target="1",
        ok=not wrong and set(fetched) == {1},
        n=rotations,
        how=(
            f"a new key id served in place of the old one, then one request each: the new key's token is answered 200, a remembered"
            f" token of the old key 401, others 200{_first(wrong)}"
        ),
    )


async def _issuer_stopped(url: str, keys: KeyServer, *, seconds: float) -> Claim:
    known = keys.issuer.mint(kid="rsa")
    failed = int(await ask(url, known) != 200)
    await keys.stop()
    asked, until = 1, time.monotonic() + seconds
    while time.monotonic() < until:
        for token in (known, keys.issuer.mint(kid="rsa"), keys.issuer.mint(kid="ed")):
            asked += 1
            failed += await ask(url, token) != 200
    await keys.start()
    return Claim(
        topic=TOPIC,
        claim="auth: the issuer is stopped, valid users who are refused",
        value=failed,
        unit="requests",
        target="0",
        ok=failed == 0 and asked > 3,
        n=asked,
        how=f"its server closed for {seconds:g} s; a known token, and new ones signed with keys that the gateway has",
    )


# --- an hour, by a clock that can be moved


async def an_hour_without_the_issuer(size: Size) -> AsyncIterator[Claim]:
    """The gateway's own key set and verifier, with an issuer that fails, hangs up, or answers rubbish, for an hour and for a day."""
    issuer = TokenIssuer(ISSUER)
    step, failed, asked, fetches = size.of(10, 300), 0, 0, 0
    bad: Sequence[bytes | Exception] = (OSError(), TimeoutError(), b"<html>", b'{"keys":[]}')
    moved = [0.0]

    async def fetch() -> bytes:
        nonlocal fetches
        fetches += 1
        if fetches == 1:
            return json.dumps(issuer.key_set()).encode()
        answer = bad[fetches % len(bad)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    verifier = _verifier(issuer, KeySet(fetch, clock=lambda: moved[0]), moved)
    known = issuer.mint(exp=int(time.time()) + 2 * _HOUR)
    await verifier.verify(known)
    while moved[0] < _HOUR:
        moved[0] += step
        for token in (known, issuer.mint(kid="rsa", exp=int(time.time()) + 2 * _HOUR)):
            asked += 1
            failed += not await _taken(verifier, token)
    yield Claim(
        topic=TOPIC,
        claim="auth: the issuer's keys cannot be had for an hour, valid users who are refused",
        value=failed,
        unit="checks",
        target="0",
        ok=failed == 0 and fetches > 2,
        n=asked,
        how=f"a clock moved by {step} s at a time, with a known and a new token each time; {fetches - 1} fetches failed: error, timeout, garbage, empty set",
    )


def _verifier(issuer: TokenIssuer, keys: KeySet, moved: Sequence[float]) -> Verifier[Identity]:
    return Verifier(
        issuer=issuer.issuer,
        keys=keys,
        derive=lambda identity, _: identity,
        hs256_secret=issuer.secret,
        clock=lambda: time.time() + moved[0],
    )


async def _taken(verifier: Verifier[Identity], token: bytes) -> bool:
    try:
        await verifier.verify(token)
        await asyncio.sleep(0)  # a refresh in the background goes on
    except (TokenRefused, KeysUnavailable):
        return False
    return True


# --- revocation


async def revocation(size: Size) -> AsyncIterator[Claim]:
    """From the call that revokes a session to the last gateway process that refuses its token."""
    count, processes = size.of(100, 4), size.of(4, 2)
    taken: list[float] = []
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name, ExitStack() as running:
        folder = Path(name)
        valkey = running.enter_context(own_valkey(folder / "valkey"))
        cluster = running.enter_context(postgres.running(folder / "postgres"))
        async with key_server() as keys, _store(cluster.dsn("postgres"), valkey.url) as store:
            stack = no_world(folder, keys, valkey.url)
            urls = []
            for number in range(processes):
                beside = gateway(stack, folder, name=f"gateway{number}")
                urls.append((await asyncio.to_thread(running.enter_context, beside)).url)
            for number in range(count):
                token = keys.issuer.mint(session_id=f"session-{number}")
                await asyncio.gather(*(_status_becomes(url, token, 200) for url in urls))
                began = time.monotonic()
                await store.revoke(Kind.SESSION, f"session-{number}", reason="", actor="benchmark")
                await asyncio.gather(*(_status_becomes(url, token, 401) for url in urls))
                taken.append(time.monotonic() - began)
    worst = max(taken)
    yield Claim(
        topic=TOPIC,
        claim=f"auth: a revocation reaches {processes} gateway processes",
        value=round(worst, 3),
        unit="seconds at p100",
        target="< 1",
        ok=worst < 1,
        n=count,
        how=f"from the call (commit in PostgreSQL included) until every process answers 401 to a token that it remembers; p50 {statistics.median(taken):.3f} s",
    )


async def _status_becomes(url: str, token: bytes, status: int) -> None:
    until = time.monotonic() + _ANSWER_SECONDS
    while await ask(url, token) != status:
        if time.monotonic() > until:
            raise TimeoutError(f"{url} does not answer {status}")
        await asyncio.sleep(0.002)


@asynccontextmanager
async def _store(dsn: str, redis_url: str) -> AsyncIterator[RevocationStore]:
    async with AsyncExitStack() as closing:
        await migrate_control(dsn)
        pool = await create_pool(dsn, name="benchmark", size=3)
        closing.push_async_callback(pool.close)
        client = redis.connect(redis_url)
        closing.push_async_callback(client.aclose)
        yield RevocationStore(pool, client, AuditChain(_KEYS, writer="benchmark"))


# --- cost


async def cost(size: Size) -> AsyncIterator[Claim]:
    """CPU of a check: of a remembered token with the headers around it, and of each kind of signature."""
    issuer, users, rounds = TokenIssuer(ISSUER), size.of(1_000, 100), size.of(50, 5)

    async def fetch() -> bytes:
        return json.dumps(issuer.key_set()).encode()

    verifier = _verifier(issuer, KeySet(fetch), [0.0])
    padding = {"user_metadata": {"full_name": "x" * 209}}
    tokens = [issuer.mint_hs256(jti=str(number), **padding) for number in range(users)]
    for token in tokens:
        await verifier.verify(token)
    headers = [b"Bearer " + token for token in tokens]
    apikey = b"sb_publishable_0123456789abcdef0123456789"
    remembered, whole = [], []
    for _ in range(rounds):
        began = time.process_time()
        for header in headers:
            verifier.remembered(header[7:])
        remembered.append((time.process_time() - began) / users * 1e6)
        began = time.process_time()
        for header in headers:
            found = user_token(header, apikey)
            if found is None or verifier.remembered(found) is None:
                raise RuntimeError("a good token is not remembered")
        whole.append((time.process_time() - began) / users * 1e6)
    misses = [f"{kid} {await _miss(verifier, issuer, kid, users):.0f}" for kid in _KINDS]
    yield Claim(
        topic=TOPIC,
        claim="auth: a remembered token is checked in less than 1 µs of CPU",
        value=round(statistics.median(remembered), 3),
        unit="µs of CPU per check",
        target="< 1",
        ok=statistics.median(remembered) < 1,
        n=users * rounds,
        how=(
            f"median of {rounds} rounds over {users} users' tokens of {len(tokens[0])} B, cut from the header as a request brings it (not"
            f" hashed before); with both headers judged {statistics.median(whole):.2f} µs; a token that is new: {', '.join(misses)} µs"
        ),
    )


_KINDS = ("ec", "rsa", "ed", "hs256")


async def _miss(verifier: Verifier[Identity], issuer: TokenIssuer, kid: str, count: int) -> float:
    """µs of CPU for one token that was never seen."""
    made = [
        issuer.mint_hs256(jti=f"new-{number}") if kid == "hs256" else issuer.mint(kid=kid, jti=f"new-{number}")
        for number in range(count)
    ]  # fmt: skip
    began = time.process_time()
    for token in made:
        await verifier.verify(token)
    return (time.process_time() - began) / count * 1e6


def _first(found: Sequence[str]) -> str:
    return f"; first: {'; '.join(found[:3])}" if found else ""
