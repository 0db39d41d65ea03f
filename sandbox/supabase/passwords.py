"""The sample users' passwords: one JSON file in the state folder, email to password. Synthetic users only.

Stand-in, not PostgREST, never for production.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path

import orjson

_FILE = "passwords.json"


def write(state: Path, passwords: Mapping[str, str]) -> None:
    """Replace the file in one step; readable by its owner only."""
    state.mkdir(parents=True, exist_ok=True)
    part = state / f"{_FILE}.part"
    part.touch(mode=0o600)
    part.write_bytes(orjson.dumps(dict(passwords), option=orjson.OPT_INDENT_2))
    part.replace(state / _FILE)


def fits(state: Path, email: str, password: str) -> bool:
    """Whether the file, read now, holds this pair."""
    path = state / _FILE
    if not path.exists():
        return False
    stored: Mapping[str, str] = orjson.loads(path.read_bytes())
    known = stored.get(email)
    return known is not None and hmac.compare_digest(known.encode(), password.encode())
