"""What becomes known about one request on its way, for its line in the PHI access record and for its counts."""

import time
from datetime import UTC, datetime

from gateway.user import User
from runtime.accessrecord import ANONYMOUS, NONE

_NOBODY = f'"sub":"{ANONYMOUS}","role":"{ANONYMOUS}"'
_ACTIONS = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}


class Facts:
    """Filled in by the pipeline. Nothing here may be patient data: patterns, words and numbers only."""

    __slots__ = (
        "client_id_rejected",
        "code",
        "correlation_id",
        "entity",
        "flags",
        "method",
        "peer",
        "resource",
        "route",
        "side",
        "single",
        "stage",
        "user",
    )

    def __init__(
        self, correlation_id: str, client_id_rejected: bool, method: str, peer: str
    ) -> None:
        self.correlation_id = correlation_id
        self.client_id_rejected = client_id_rejected
        self.method = method
        self.peer = peer
        self.route = self.stage = self.side = NONE
        self.entity = self.code = ""
        self.resource = NONE
        """The tag of a row, `many:<n>`, or nothing."""
        self.single = False
        """One row is asked for."""
        self.flags = 0
        self.user: User | None = None

    def line(self, status: int, seconds: float, outcome: str) -> bytes:
        """The record of the request (runtime.accessrecord), without its newline."""
        user = self.user
        action = _ACTIONS.get(self.method) or (
            "read" if self.single or not self.entity else "search"
        )
        rejected = '"client_id_rejected":true,' if self.client_id_rejected else ""
        code = f',"code":"{self.code}"' if self.code else ""
        return (
            f'{{"ts":"{_clock.now()}","correlation_id":"{self.correlation_id}",{rejected}'
            f'{_NOBODY if user is None else user.record},"action":"{action}",'
            f'"entity":"{self.entity or NONE}","resource":"{self.resource}",'
            f'"purpose":"{"operations" if user is None else user.purpose}","outcome":"{outcome}",'
            f'"status":{status},"stage":"{self.stage}","side":"{self.side}",'
            f'"source_ip":"{self.peer or NONE}","flag_version":{self.flags},'
            f'"duration_ms":{seconds * 1000:.3f},"route":"{self.route}","method":"{self.method}"{code}}}'
        ).encode()


class _Clock:
    """Writes the time; many records share a millisecond, and more a second."""

    def __init__(self) -> None:
        self._millisecond = self._second = -1
        self._text = self._second_text = ""

    def now(self) -> str:
        """UTC, RFC 3339, milliseconds."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                moment = datetime.fromtimestamp(second, UTC)
                self._second, self._second_text = second, moment.strftime("%Y-%m-%dT%H:%M:%S")
            self._millisecond, self._text = millisecond, f"{self._second_text}.{rest:03}Z"
        return self._text


_clock = _Clock()
