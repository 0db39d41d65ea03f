"""What a gateway of a benchmark needs to compare: a control database of its own, and keys."""

import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.control_database import migrate_control
from runtime.keyring import KEY_BYTES
from sandbox.engines import postgres


@asynccontextmanager
async def control(folder: Path) -> AsyncIterator[Mapping[str, str]]:
    """Settings, while the database runs."""
    with postgres.running(folder / "postgres") as cluster:
        dsn = await postgres.create_database(cluster, "control")
        await migrate_control(dsn)
        yield {
            "CONTROL_DATABASE_URL": dsn,
            "EVIDENCE_KEYS": _key("e1"),
            "FIELD_KEYS": _key("f1"),
        }


def _key(name: str) -> str:
    return f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
