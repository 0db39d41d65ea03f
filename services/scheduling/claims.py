"""Claims on requests: leases beside the requests' rows. To be asked for under the request's lock alone."""

from datetime import timedelta

from routes.key import Key
from services.lease import Lease
from services.transaction import Transaction


async def check_free(transaction: Transaction, request: Key) -> None:
    """Raises Claimed while somebody else works on it."""
    found = await transaction.connection.fetchrow(
        "select claimed_by::text, claimed_until from scheduling.appointment_request_claim where request_id = $1::text::uuid",
        *request,
    )
    if found is not None:
        lease = Lease(holder=found["claimed_by"], until=found["claimed_until"])
        lease.check(transaction.author.sub, await transaction.clock())


async def take(transaction: Transaction, request: Key, duration: timedelta) -> Lease:
    """The author's from now on, also if it was already."""
    until = await transaction.clock() + duration
    await transaction.connection.execute(
        "insert into scheduling.appointment_request_claim as c (request_id, claimed_by, claimed_until)"
        " values ($1::text::uuid, $2::text::uuid, $3)"
        " on conflict (request_id) do update set claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until",
        *request,
        transaction.author.sub,
        until,
    )
    return Lease(holder=transaction.author.sub, until=until)


async def drop(transaction: Transaction, request: Key) -> None:
    """The request has its answer."""
    await transaction.connection.execute(
        "delete from scheduling.appointment_request_claim where request_id = $1::text::uuid",
        *request,
    )
