"""Domain rules bind users' writes, never applies (decisions.md 25). Writes come later: here a role gets the right for a while."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from catalog.service import Service
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

_STAMPS = "created_at, updated_at, row_version, origin"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`insert` has parameters: status, begin and end of a span."""

    service: Service
    table: str
    insert: str
    on: str
    """A status in which the rule holds."""
    off: str
    first: tuple[str, str]
    touching: tuple[str, str]
    across: tuple[str, str]
    marked_in_the_way: bool = False
    """A user's row meets marked ones, too; the constraint passes over them."""


RULES = (
    Rule(
        service=Service.SCHEDULING,
        table="scheduling.appointment",
        insert="insert into scheduling.appointment (id, submission_id, clinician_id, status, modality, starts_at, ends_at,"
        f" time_zone, metadata, {_STAMPS}) values (gen_random_uuid(), gen_random_uuid(), '00000002-0000-4000-8000-0000000000ff',"
        " $1::text::scheduling.appointment_status, 'video', $2::text::timestamptz, $3::text::timestamptz, 'UTC', '{}', now(), now(), 1, 'service')"
        " returning nonconforming",
        on="booked",
        off="cancelled",
        first=("2031-01-01 10:00Z", "2031-01-01 11:00Z"),
        touching=("2031-01-01 11:00Z", "2031-01-01 12:00Z"),
        across=("2031-01-01 10:59Z", "2031-01-01 11:01Z"),
        marked_in_the_way=True,
    ),
    Rule(
        service=Service.FINANCE,
        table="finance.payout",
        insert="insert into finance.payout (id, partner_id, period_start, period_end, gross_minor, fee_minor, currency, status,"
        f" lines, {_STAMPS}) values (gen_random_uuid(), '000000ba-0000-4000-8000-0000000000ff', $2::text::date, $3::text::date,"
        " 100, 1, 'GBP', $1::text::finance.payout_status, '[]', now(), now(), 1, 'service') returning nonconforming",
        on="draft",
        off="reversed",
        first=("2031-01-01", "2031-01-31"),
        touching=("2031-02-01", "2031-02-28"),
        across=("2031-01-31", "2031-02-01"),
    ),
)


@pytest.fixture(params=RULES, ids=lambda rule: rule.service.value)
def rule(request: pytest.FixtureRequest) -> Rule:
    found: Rule = request.param
    return found


@pytest.fixture
async def user(rule: Rule, own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A session as a request of a user would have it, if users could write already."""
    owner = await asyncpg.connect(own_services.owner)
    await owner.execute(f"grant insert on {rule.table} to banyan_{rule.service}")
    await owner.execute(
        f"create policy test on {rule.table} to banyan_{rule.service} using (true) with check (true)"
    )
    await owner.close()
    connection = await asyncpg.connect(own_services.service)
    await connection.execute(f"set role banyan_{rule.service}")
    yield connection
    await connection.close()


@pytest.fixture
async def applier(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_services.apply)
    yield connection
    await connection.close()


async def test_a_user_cannot_write_what_overlaps(rule: Rule, user: asyncpg.Connection) -> None:
    assert await user.fetchval(rule.insert, rule.on, *rule.first) is False
    assert await user.fetchval(rule.insert, rule.on, *rule.touching) is False
    assert await user.fetchval(rule.insert, rule.off, *rule.across) is False
    with pytest.raises(asyncpg.ExclusionViolationError):
        await user.fetchval(rule.insert, rule.on, *rule.across)


async def test_an_apply_is_stored_and_marked(
    rule: Rule, user: asyncpg.Connection, applier: asyncpg.Connection
) -> None:
    assert await user.fetchval(rule.insert, rule.on, *rule.first) is False
    assert await applier.fetchval(rule.insert, rule.on, *rule.across) is True
    # Later applies never meet a marked row.
    assert await applier.fetchval(rule.insert, rule.on, *rule.touching) is False


async def test_whether_a_user_s_row_meets_a_marked_one(
    rule: Rule, user: asyncpg.Connection, applier: asyncpg.Connection
) -> None:
    await user.fetchval(rule.insert, rule.on, *rule.first)
    await applier.fetchval(rule.insert, rule.on, *rule.across)
    if rule.marked_in_the_way:
        with pytest.raises(asyncpg.ExclusionViolationError):
            await user.fetchval(rule.insert, rule.on, *rule.touching)
    else:
        assert await user.fetchval(rule.insert, rule.on, *rule.touching) is False


async def test_the_mark_goes_when_the_overlap_is_gone_and_the_row_is_applied_again(
    rule: Rule, applier: asyncpg.Connection
) -> None:
    await applier.fetchval(rule.insert, rule.on, *rule.first)
    await applier.fetchval(rule.insert, rule.on, *rule.across)
    status = f"{rule.table}_status"
    marked = f"select count(*) from {rule.table} where nonconforming and origin = 'service'"
    assert await applier.fetchval(marked) == 1
    await applier.execute(
        f"update {rule.table} set status = $1::text::{status} where origin = 'service' and not nonconforming",
        rule.off,
    )
    await applier.execute(f"update {rule.table} set row_version = 2 where nonconforming")
    assert await applier.fetchval(marked) == 0


@pytest.mark.parametrize("rule", RULES[:1], ids=["scheduling"], indirect=True)
async def test_appointments_without_a_clinician_never_overlap(
    rule: Rule, user: asyncpg.Connection, applier: asyncpg.Connection
) -> None:
    nobody = rule.insert.replace("'00000002-0000-4000-8000-0000000000ff'", "null")
    for connection in (user, user, applier):
        assert await connection.fetchval(nobody, rule.on, *rule.first) is False
