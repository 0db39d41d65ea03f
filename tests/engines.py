"""Fixtures over embedded engines: one cluster and one Valkey for the whole run, a database of its own for each test.

They block and need no event loop, so plain and coroutine tests alike can ask for them.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from migration.legacy.install import prepare
from sandbox.engines import postgres, valkey
from sandbox.engines.postgres import Cluster
from sandbox.legacy.load import OWNER, Legacy, load_schema
from sandbox.seed.dataset import Dataset, generate
from sandbox.seed.load import load

SCALE = 60
_TEMPLATE = "legacy_template"
_numbers = count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running PostgreSQL. Its role `postgres` may create databases and roles and is no superuser."""
    with postgres.running(tmp_path_factory.mktemp("postgres") / "data") as started:
        asyncio.run(postgres.create_owner(started, OWNER))
        yield started


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Valkey, shared: use keys of your own, or `flushall` first."""
    with valkey.running(tmp_path_factory.mktemp("valkey") / "data") as started:
        yield started.url


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """What the legacy databases below hold."""
    return generate(SCALE)


@pytest.fixture(scope="session")
def legacy_template(cluster: Cluster, dataset: Dataset) -> str:
    """Name of a database with the legacy schema, seeded and prepared; copy it, never connect to it."""

    async def build() -> None:
        dsn = await postgres.create_database(cluster, _TEMPLATE, owner=OWNER)
        await load_schema(dsn)
        await load(dsn, dataset)
        await prepare(dsn)

    asyncio.run(build())
    return _TEMPLATE


@pytest.fixture
def legacy(cluster: Cluster, legacy_template: str) -> Iterator[Legacy]:
    """A legacy database of this test's own: write what you like."""
    with _database(cluster, legacy_template) as name:
        yield Legacy(cluster=cluster, database=name)


@pytest.fixture(scope="module")
def shared_legacy(cluster: Cluster, legacy_template: str) -> Iterator[Legacy]:
    """A legacy database for all tests of one module: for those that only read, or undo what they write."""
    with _database(cluster, legacy_template) as name:
        yield Legacy(cluster=cluster, database=name)


@pytest.fixture
def legacy_dsn(legacy: Legacy) -> str:
    """`legacy`, as the owner of its tables."""
    return legacy.owner


@pytest.fixture
def empty_dsn(cluster: Cluster) -> Iterator[str]:
    """An empty database of this test's own, as its owner `postgres`."""
    with _database(cluster, "template1") as name:
        yield cluster.dsn(name, OWNER)


@pytest.fixture(scope="module")
def new_database(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Makes empty databases and answers their DSNs; all are dropped behind the module."""
    names: list[str] = []

    def make() -> str:
        names.append(f"test_{next(_numbers)}")
        return asyncio.run(postgres.create_database(cluster, names[-1], owner=OWNER))

    yield make
    for name in names:
        asyncio.run(postgres.drop_database(cluster, name))


@contextmanager
def _database(cluster: Cluster, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    asyncio.run(postgres.create_database(cluster, name, owner=OWNER, template=template))
    try:
        yield name
    finally:
        asyncio.run(postgres.drop_database(cluster, name))
