"""What operators do past the control API, in a chain of its own: the command and the change commit together."""

import getpass
import socket
from collections.abc import Mapping
from typing import Any

from runtime.auditchain import AuditChain, Event
from runtime.postgres import Connection
from runtime.settings import Settings

WRITER = "operators"


def chain(settings: Settings) -> AuditChain:
    """Raises SettingsError without AUDIT_KEYS."""
    return AuditChain(settings.need_keyring("audit_keys"), writer=WRITER)


def actor() -> str:
    """Whoever runs the command, and where."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


async def record(
    connection: Connection,
    settings: Settings,
    action: str,
    reason: str,
    subject: Mapping[str, Any],
) -> None:
    """In the change's own transaction."""
    event = Event(action=action, actor=actor(), reason=reason, subject=subject)
    await chain(settings).append(connection, event)
