"""What comparisons leave behind of patients: nothing that anybody could read, and enough to see which values are equal."""

import asyncio
import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import redis

from benchmarks.claim import Claim
from benchmarks.shadow.asking import Question, ask, reported, shadowing, shown
from benchmarks.shadow.patients import Patients, Values, plant
from benchmarks.shadow.search import SHORTEST, Search, planted
from benchmarks.size import Size
from benchmarks.world import sandbox
from catalog import assets
from catalog.column import Column
from routes import resources
from runtime.keyring import read_keyring
from runtime.postgres import create_pool, quote_identifier
from runtime.sealed import Sealer
from runtime.shadowstore import KEY_VERSION, Example, ShadowStore
from runtime.stack import Stack

TOPIC = "shadow"
_RELEASE = "privacy"
_STAFF = ("clinician", "compliance", "admin")
_ROUTES = (
    "/v2/submissions",
    "/v2/appointments",
    "/v2/appointment-requests",
    "/v2/compliance",
    "/v2/lab-orders",
)
_CLINICAL = ("legacy-postgres", "services-postgres")
"""Data folders of the engines in which patients are meant to be."""
_TAGGED = ("given_name", "family_name", "phone", "email", "safeguarding_notes")
_CONTROL_SHARE = 50
"""Of the patients, every so many is planted for the search's own test."""


async def run(size: Size) -> AsyncIterator[Claim]:
    """Brings a sandbox of its own, whose patients it names."""
    with (
        tempfile.TemporaryDirectory(prefix="banyan-privacy-") as name,
        sandbox(Path(name), scale=size.of(10_000, 60)) as stack,
    ):
        patients = await plant(stack)
        traffic = await _traffic(stack, Path(name), patients, size)
        search = Search(sorted(patients.texts()))
        yield await _searched(stack, Path(name), patients, traffic, search)
        yield _control(patients, search)
        examples = await _examples(stack)
        truth = _Truth.of(stack, patients, examples)
        yield _equal(truth)
        yield _unlinked(truth)
        yield _few_values(examples)


# --- traffic


@dataclass(frozen=True, kw_only=True)
class Traffic:
    reads: int
    metrics: str
    answer: bytes
    """One page as a caller got it, in which patients must stand."""
    mismatches: int
    visibility: int
    second: int
    """Pairs that a second reading has left undecided."""
    kinds: frozenset[str]


async def _traffic(stack: Stack, folder: Path, patients: Patients, size: Size) -> Traffic:
    """Pages and items of what patients are in, as staff; and questions that hold a patient's name, which are refused."""
    pages, items, named = size.of(250, 4), size.of(2_500, 40), size.of(200, 10)
    asked = [one async for one in _pages(stack, pages)]
    some = itertools.islice(itertools.cycle(patients.legacy), 7, 7 + items)
    asked += [
        Question(route="/v2/submissions/{key}", path=f"/v2/submissions/{id_}", user="compliance")
        for id_ in some
    ]
    for row in itertools.islice(patients.legacy.values(), named):
        name, email = quote(str(row["given_name"]), safe=""), quote(str(row["email"]), safe="")
        for path in (f"/v2/submissions?email={email}", f"/v2/submissions/{name}"):
            asked.append(Question(route="", path=path, user="compliance"))
    number = int(stack.redis.rpartition("/")[2])
    with shadowing(
        stack,
        folder,
        name=_RELEASE,
        redis_number=number,
        SHADOW_LAG_SECONDS="0.5",
        SHADOW_NOISE_SHARE="0.1",
    ) as started:
        found = await ask(stack, started, asked, name=_RELEASE)
        async with httpx.AsyncClient(trust_env=False) as client:
            metrics = (await client.get(f"{started.url}/metrics")).text
            headers = {"authorization": f"Bearer {stack.tokens['compliance']}"}
            answer = await client.get(f"{started.url}/v2/submissions?limit=50", headers=headers)
    routes = reported(folder / "run", _RELEASE).values()
    return Traffic(
        reads=sum(found.statuses.values()),
        metrics=metrics,
        answer=answer.content,
        mismatches=sum(one["mismatches"] for one in routes),
        visibility=sum(one["visibility"] for one in routes),
        second=sum(one["inconclusive"].get("lag", 0) for one in routes),
        kinds=frozenset(
            kind for one in routes for each in one["fields"].values() for kind in each["kinds"]
        ),
    )


async def _pages(stack: Stack, most: int) -> AsyncIterator[Question]:
    """The pages of each list as legacy has them; the first are asked for by all of the staff."""
    headers = {"authorization": f"Bearer {stack.tokens['compliance']}"}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        for route in _ROUTES:
            cursor: str | None = ""
            for number in range(most if route == _ROUTES[0] else most // 5 + 1):
                path = f"{route}?limit=50{cursor}"
                for user in _STAFF if number < most // 5 + 1 else _STAFF[-1:]:
                    yield Question(route=route, path=path, user=user)
                page = (await client.get(stack.urls["gateway"] + path, headers=headers)).json()
                if page["next"] is None:
                    break
                cursor = f"&cursor={page['next']}"


# --- what is left


async def _searched(
    stack: Stack, folder: Path, patients: Patients, traffic: Traffic, search: Search
) -> Claim:
    hits: dict[str, int] = {}
    places: dict[str, int] = defaultdict(int)
    total = 0
    async for kind, name, data in _left(stack, folder, traffic):
        places[kind] += 1
        total += len(data)
        found = await asyncio.to_thread(search.hits, data)
        if found:
            hits[f"{kind} {name}"] = found
    counts = ", ".join(f"{count} {kind}" for kind, count in places.items())
    read = search.hits(traffic.answer)
    differed = traffic.mismatches > 0 and traffic.visibility > 0 and {"value"} <= traffic.kinds
    return Claim(
        topic=TOPIC, claim="privacy: patients' names, phones, e-mails and notes in what is left of comparisons", value=sum(hits.values()),
        unit="places", target="0", ok=not hits and differed and read > 0, n=search.patterns,
        how=f"{len(patients.legacy)} synthetic patients, {len(patients.texts())} different values of both sides, each plain, composed, decomposed, in either"
        f" case, JSON-escaped once and twice, URL-escaped, hexadecimal and as base64 in three alignments ({search.patterns} patterns; {search.skipped} were"
        f" shorter than {SHORTEST} characters and not looked for); {traffic.reads} reads by staff at stage shadow, {traffic.mismatches} mismatches, {traffic.visibility}"
        f" with rows that one side alone shows, {traffic.second} that a second reading left undecided, kinds {', '.join(sorted(traffic.kinds))}; one page that a caller got has {read};"
        f" searched: {total} bytes: {counts};"
        f" but for the data folders of the two PostgreSQL, whose clinical tables are the patients' place; found in: {hits or 'nothing'}",
    )  # fmt: skip


async def _left(
    stack: Stack, folder: Path, traffic: Traffic
) -> AsyncIterator[tuple[str, str, bytes]]:
    """Kind, name and content of everything."""
    for name, data in _files(folder):
        yield "files", name, data
    async for name, data in _tables(stack.databases["control"]):
        yield "control tables", name, data
    for name, data in _keys(stack.redis):
        yield "Redis keys", name, data
    yield "pages of metrics", "", traffic.metrics.encode()
    for words in _reports():
        yield "reports", " ".join(words), shown(folder / "run", *words).encode()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    clinical = [folder / "run" / "data" / name for name in _CLINICAL]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(one) for one in clinical):
            yield path.name, path.read_bytes()


def _reports() -> Iterator[Sequence[str]]:
    yield "--all", "--json"
    yield ("--all",)
    for entity in dict.fromkeys(one.entity for one in resources()):
        yield "--route", entity, "--examples", "500", "--json"
        yield "--route", entity, "--examples", "500"


async def _tables(dsn: str) -> AsyncIterator[tuple[str, bytes]]:
    """Every column of every row of the control schema, bytes as they are."""
    database = await asyncpg.connect(dsn)
    try:
        names = await database.fetch(
            "select table_name from information_schema.tables where table_schema = 'control' and table_type = 'BASE TABLE' order by 1"
        )
        for (name,) in names:
            rows = await database.fetch(f"select * from control.{quote_identifier(name)}")
            yield name, b"\n".join(_bytes(value) for row in rows for value in row.values())
    finally:
        await database.close()


def _bytes(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case list():
            return b"\n".join(_bytes(one) for one in value)
        case _:
            return str(value).encode()


def _keys(url: str) -> Iterator[tuple[str, bytes]]:
    """Every key of every database with all that it holds."""
    base = url.rpartition("/")[0]
    with redis.Redis.from_url(url) as client:
        numbers = [int(name.removeprefix("db")) for name in client.info("keyspace")]
    for number in numbers:
        with redis.Redis.from_url(f"{base}/{number}") as client:
            for key in client.scan_iter(count=1000):
                yield f"{number} {key!r}", key + b"\n" + b"\n".join(_held(client, key))


def _held(client: Any, key: bytes) -> Iterable[bytes]:
    """`client` answers bytes, which its types do not say."""
    found: Iterable[bytes]
    match client.type(key):
        case b"string":
            found = [client.get(key) or b""]
        case b"hash":
            found = itertools.chain.from_iterable(client.hgetall(key).items())
        case b"list":
            found = client.lrange(key, 0, -1)
        case b"set":
            found = client.smembers(key)
        case b"zset":
            found = client.zrange(key, 0, -1)
        case b"stream":
            members = (pairs for _, entry in client.xrange(key) for pairs in entry.items())
            found = itertools.chain.from_iterable(members)
        case other:
            raise TypeError(f"a key of the type {other!r} is not searched")
    return found


def _control(patients: Patients, search: Search) -> Claim:
    """The same search over what was planted."""
    missed: list[str] = []
    count = 0
    for row in itertools.islice(patients.legacy.values(), 0, None, _CONTROL_SHARE):
        for name, text in row.items():
            for spelling, data in planted(text or "").items():
                count += 1
                if not search.hits(b"2026-01-01 " + data + b" behind"):
                    missed.append(f"{name} {spelling}")
    return Claim(
        topic=TOPIC, claim="privacy: planted values that the same search does not find", value=len(missed), unit="values", target="0",
        ok=not missed and count > 0, n=count,
        how=f"every {_CONTROL_SHARE}th patient's values as other code writes them: {', '.join(planted('Zora'))}; missed: {', '.join(sorted(set(missed))) or 'none'}",
    )  # fmt: skip


# --- tags


async def _examples(stack: Stack) -> list[Example]:
    pool = await create_pool(stack.databases["control"], name="benchmark", size=1)
    try:
        since = datetime.now(UTC) - timedelta(days=1)
        return await ShadowStore(pool).examples(since, limit=100_000)
    finally:
        await pool.close()


@dataclass(kw_only=True)
class _Truth:
    """What the tags of stored examples stand for: by column, value and tag, the requests in which the two came together."""

    seen: dict[str, dict[tuple[str, str], set[str]]] = field(default_factory=dict)
    untagged: int = 0
    """Values that should have a tag and have none."""

    @classmethod
    def of(cls, stack: Stack, patients: Patients, examples: Sequence[Example]) -> "_Truth":
        """Opens the rows' keys, as `banyan shadow inspect` does."""
        sealer = Sealer(read_keyring(stack.environment["FIELD_KEYS"]))
        found = cls()
        for one in examples:
            if one.entity != "submissions" or one.field not in _TAGGED or not one.sealed_key:
                continue
            opened = sealer.open(
                one.sealed_key, entity=one.entity, key=one.correlation_id, version=KEY_VERSION
            )
            [id_] = json.loads(opened)
            if id_ in patients.legacy and id_ in patients.service:
                found._add(one, patients.legacy[id_], one.left)
                found._add(one, patients.service[id_], one.right)
        return found

    def _add(self, one: Example, row: Values, trace: Mapping[str, str]) -> None:
        value = row[one.field]
        if value is None:
            return
        if not trace["tag"]:
            self.untagged += 1
            return
        requests = self.seen.setdefault(one.field, {}).setdefault((value, trace["tag"]), set())
        requests.add(one.correlation_id)


def _equal(truth: _Truth) -> Claim:
    """One tag for one value, one value for one tag, in each column."""
    wrong = truth.untagged
    recognised = values = 0
    for pairs in truth.seen.values():
        by_value, by_tag = {value for value, _ in pairs}, {tag for _, tag in pairs}
        values += len(by_value)
        wrong += 2 * len(pairs) - len(by_value) - len(by_tag)
        recognised += sum(len(requests) > 1 for requests in pairs.values())
    return Claim(
        topic=TOPIC, claim="privacy: values whose tags do not say which are equal", value=wrong, unit="values", target="0",
        ok=not wrong and recognised > 0 and set(truth.seen) == set(_TAGGED), n=values,
        how=f"tags of the stored evidence of {', '.join(sorted(truth.seen))}, held against what was planted in the rows whose sealed keys it has: one tag for"
        f" each value of a column and one value for each tag; {recognised} values came in more than one request, {truth.untagged} had no tag",
    )  # fmt: skip


def _unlinked(truth: _Truth) -> Claim:
    by_tag: dict[str, set[str]] = defaultdict(set)
    by_value: dict[str, set[str]] = defaultdict(set)
    for column, pairs in truth.seen.items():
        for value, tag in pairs:
            by_tag[tag].add(column)
            by_value[value].add(column)
    linked = sum(len(columns) > 1 for columns in by_tag.values())
    shared = sum(len(columns) > 1 for columns in by_value.values())
    return Claim(
        topic=TOPIC, claim="privacy: tags that link two columns", value=linked, unit="tags", target="0", ok=not linked and shared > 0,
        n=len(by_tag), how=f"of the same evidence; {shared} values stood in two columns, as a given and as a family name",
    )  # fmt: skip


def _few_values(examples: Sequence[Example]) -> Claim:
    low = {
        (entity, column.target)
        for entity, asset in assets().items()
        for column in asset.columns
        if isinstance(column, Column) and column.low_entropy
    }
    found = [one for one in examples if (one.entity, one.field) in low]
    tagged = sum(bool(one.left["tag"] or one.right["tag"]) for one in found)
    columns = sorted({f"{one.entity}.{one.field}" for one in found})
    wanted = {"birth_date", "consent_status", "safeguarding_concern", "sex", "status"}
    seen = {one.field for one in found if one.entity == "submissions"}
    return Claim(
        topic=TOPIC, claim="privacy: differences of columns with few values that leave a tag", value=tagged, unit="differences", target="0",
        ok=not tagged and wanted <= seen, n=len(found), how=f"stored evidence of {', '.join(columns)}",
    )  # fmt: skip
