"""May this user see this row? A service's row level security and legacy's give the same answer, for every user and table."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from catalog import assets
from catalog.asset import Asset, Kind
from catalog.service import Service
from sandbox.legacy.load import Legacy
from tests.services_world import (
    USERS,
    ServicesDatabase,
    User,
    as_legacy_user,
    as_service_user,
)

pytestmark = pytest.mark.stack

ENTITIES = tuple(assets())
WITH_SUBJECTS = (Service.SCHEDULING, Service.DIAGNOSTICS, Service.CARE_PLANS)
Keys = set[tuple[str, ...]]


@pytest.fixture(scope="module")
async def legacy_connection(source: Legacy) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(source.authenticator)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def service_connection(
    services_database: ServicesDatabase,
) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(services_database.service)
    yield connection
    await connection.close()


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
async def test_both_sides_show_the_same_rows(
    user: User,
    entity: str,
    legacy_connection: asyncpg.Connection,
    service_connection: asyncpg.Connection,
) -> None:
    asset = assets()[entity]
    assert await seen_in_service(service_connection, asset, user) == await seen_in_legacy(
        legacy_connection, asset, user
    )


@pytest.mark.parametrize("entity", ENTITIES)
async def test_the_data_tells_rules_apart(
    entity: str, legacy_connection: asyncpg.Connection
) -> None:
    """Without users who see nothing, some and all, equal sets would say little."""
    asset = assets()[entity]
    views = [await seen_in_legacy(legacy_connection, asset, user) for user in USERS.values()]
    everything: Keys = set().union(*views)
    assert set() in views
    assert everything in views
    assert len([view for view in views if set() < view < everything]) >= 2


@pytest.mark.parametrize("user", ["patient", "clinician-without-role"])
async def test_patients_and_their_clinicians_see_through_the_projection(
    user: str, service_connection: asyncpg.Connection
) -> None:
    """Both branches of it: the patient's own submission, and one that somebody without a role is assigned to."""
    for entity in ("appointments", "lab_orders", "action_plans"):
        seen = await seen_in_service(service_connection, assets()[entity], USERS[user])
        assert seen, entity


@pytest.mark.parametrize("service", WITH_SUBJECTS)
async def test_while_the_projection_lags_nobody_is_let_in(
    service: Service, own_services: ServicesDatabase
) -> None:
    owner = await asyncpg.connect(own_services.owner)
    await owner.execute(f"truncate {service}.subject_access")
    await owner.close()
    connection = await asyncpg.connect(own_services.service)
    for asset in assets().values():
        if asset.service is service:
            assert await seen_in_service(connection, asset, USERS["patient"]) == set()
            assert await seen_in_service(connection, asset, USERS["admin"]) != set()
    await connection.close()


# --- who may do what in the database


@pytest.mark.parametrize("entity", ENTITIES)
async def test_the_login_role_itself_sees_nothing(
    entity: str, service_connection: asyncpg.Connection
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service_connection.fetch(f"select from {table(assets()[entity])}")


@pytest.mark.parametrize("entity", ENTITIES)
async def test_without_a_caller_a_request_sees_nothing(
    entity: str, service_connection: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    seen = await run_as(
        service_connection, f"banyan_{asset.service}", f"select from {table(asset)}"
    )
    assert seen == []


@pytest.mark.parametrize("entity", ENTITIES)
async def test_a_request_cannot_write_nor_look_behind_its_view(
    entity: str, service_connection: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    role = f"banyan_{asset.service}"
    changes = [
        f"delete from {table(asset)} returning 1",
        f"update {table(asset)} set origin = 'service' returning 1",
    ]
    if asset.kind is Kind.VERSIONED:
        # The right is there, and no policy lets nobody write: no row is in reach.
        assert [await run_as(service_connection, role, change) for change in changes] == [[], []]
        changes = []
    refused = [
        *changes,
        f"insert into {table(asset)} default values",
        f"select from {asset.service}.tombstones",
        f"select from {asset.service}.outbox",
        f"update {asset.service}.idempotency set status = 0",
    ]
    if asset.service in WITH_SUBJECTS:
        refused.append(f"select from {asset.service}.subject_access")
    for statement in refused:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run_as(service_connection, role, statement)


@pytest.mark.parametrize("entity", ENTITIES)
async def test_the_role_that_knows_keys_sees_keys_alone(
    entity: str, service_connection: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    hidden = [c.target for c in asset.kept if c.target not in asset.key]
    keys = f"select {', '.join(asset.key)} from {table(asset)}"
    assert len(await run_as(service_connection, "banyan_known", keys)) > 20
    for column in hidden:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run_as(service_connection, "banyan_known", f"select {column} from {table(asset)}")


@pytest.mark.parametrize(
    "entity", [name for name, asset in assets().items() if asset.kind is Kind.APPEND_ONLY]
)
async def test_appended_rows_are_not_changed_by_anybody_who_applies(
    entity: str, services_database: ServicesDatabase
) -> None:
    connection = await asyncpg.connect(services_database.apply)
    for statement in ("delete from {}", "update {} set origin = 'service'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(table(assets()[entity])))
    await connection.close()


async def run_as(connection: asyncpg.Connection, role: str, statement: str) -> list[asyncpg.Record]:
    async with connection.transaction():
        await connection.execute("select set_config('role', $1, true)", role)
        return await connection.fetch(statement)


async def seen_in_legacy(connection: asyncpg.Connection, asset: Asset, user: User) -> Keys:
    names = ", ".join(f"{column.source}::text" for column in asset.key_columns)
    async with connection.transaction(readonly=True):
        await as_legacy_user(connection, user)
        return {tuple(row) for row in await connection.fetch(f"select {names} from {asset.source}")}


async def seen_in_service(connection: asyncpg.Connection, asset: Asset, user: User) -> Keys:
    names = ", ".join(f"{name}::text" for name in asset.key)
    async with connection.transaction(readonly=True):
        await as_service_user(connection, asset.service, user)
        return {tuple(row) for row in await connection.fetch(f"select {names} from {table(asset)}")}


def table(asset: Asset) -> str:
    return f"{asset.service}.{asset.target}"
