"""What a service's requests need, put together once by the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from catalog.service import Service
from runtime.identity import Identity, Verifier
from runtime.internal_token import InternalTokens
from runtime.jwks import KeySet
from runtime.objectstore import ObjectStore
from runtime.vendorkeys import VendorKeys
from services.changes import Changes
from services.idempotency import Idempotency
from services.leased_ids import LeasedIds
from services.rules import Rules


@dataclass(frozen=True, kw_only=True)
class Deps:
    """`pool_wait` and `write_deadline` in seconds. `keys` is None where tokens are verified by a shared secret alone."""

    service: Service
    pool: asyncpg.Pool
    pool_wait: float
    verifier: Verifier[Identity]
    keys: KeySet | None
    internal: InternalTokens
    cursor_key: bytes
    openapi: bytes
    migrations: frozenset[str]
    write_deadline: float
    idempotency: Idempotency
    ids: LeasedIds
    rules: Mapping[str, Rules]
    """By entity; an entity without rules of its own is not in it."""
    vendors: VendorKeys
    changes: Changes
    objects: ObjectStore | None
    """None where a service keeps no files."""
