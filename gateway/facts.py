"""What becomes known about one request on its way, for its line in the PHI access record and for its counts."""

from datetime import UTC, datetime
from time import time_ns
from typing import Final

from catalog.stage import Side
from gateway.plan import Read
from gateway.user import User
from runtime.accessrecord import ANONYMOUS, NONE

_NOBODY: Final = f'"sub":"{ANONYMOUS}","role":"{ANONYMOUS}","purpose":"operations"'
_REJECTED: Final = '"client_id_rejected":true,'
_time_ns: Final = time_ns
_ACTIONS: Final = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}


class Facts:
    """Filled in by the pipeline. Nothing here may be patient data: patterns, words and numbers only."""

    __slots__ = (
        "client_id_rejected",
        "code",
        "compared",
        "correlation_id",
        "entity",
        "flags",
        "method",
        "peer",
        "resource",
        "route",
        "shadow",
        "side",
        "single",
        "stage",
        "user",
        "wire_id",
    )

    def __init__(
        self, correlation_id: str, client_id_rejected: bool, method: str, peer: str
    ) -> None:
        self.correlation_id = correlation_id
        self.wire_id = correlation_id.encode()
        """The same, as it stands in headers."""
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
        self.compared: Read | None = None
        """The plan of a read whose other side is asked the same once the caller has the answer."""
        self.shadow = False
        """This is such a question, not the caller's own."""

    def behind(self, side: Side) -> "Facts":
        """Of the same question, asked of another side when it has been answered."""
        facts = Facts(self.correlation_id, self.client_id_rejected, self.method, self.peer)
        facts.route, facts.stage, facts.side = self.route, self.stage, side.value
        facts.entity, facts.single, facts.flags = self.entity, self.single, self.flags
        facts.resource = self.resource if self.single else NONE
        facts.user, facts.shadow = self.user, True
        return facts

    def line(self, status: int, seconds: float, outcome: str) -> bytes:
        """The record of the request (runtime.accessrecord), without its newline."""
        user = self.user
        who = _NOBODY if user is None else user.shadow_record if self.shadow else user.record
        microseconds = int(seconds * 1e6)
        thousandths = str(1000 + microseconds % 1000)
        key = (self.route, self.method, self.side, self.stage, status, outcome, self.code)
        words = _words.get(key)
        if words is None:
            words = _words[key] = self._write_words(status, outcome)
        return (
            f'{{"ts":"{_clock.now()}","correlation_id":"{self.correlation_id}",'
            f"{_REJECTED if self.client_id_rejected else ''}{who},"
            f'"resource":"{self.resource}","source_ip":"{self.peer or NONE}","flag_version":{self.flags},'
            f'"duration_ms":{microseconds // 1000}.{thousandths[1:]},{words}}}'
        ).encode()

    def _write_words(self, status: int, outcome: str) -> str:
        """The part that is the same for all requests of a route, side, stage and status."""
        action = _ACTIONS.get(self.method) or (
            "read" if self.single or not self.entity else "search"
        )
        code = f',"code":"{self.code}"' if self.code else ""
        return (
            f'"action":"{action}","entity":"{self.entity or NONE}","outcome":"{outcome}","status":{status},'
            f'"stage":"{self.stage}","side":"{self.side}","route":"{self.route}","method":"{self.method}"{code}'
        )


_words: Final[dict[tuple[str, str, str, str, int, str, str], str]] = {}
"""`Facts._write_words`, by what it depends on; the route says which entity it is, and whether one row is asked for."""


class _Clock:
    """Writes the time; many records share a millisecond, and more a second."""

    def __init__(self) -> None:
        self._millisecond = self._second = -1
        self._text = self._second_text = ""

    def now(self) -> str:
        """UTC, RFC 3339, milliseconds."""
        millisecond = _time_ns() // 1_000_000
        if millisecond != self._millisecond:
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                moment = datetime.fromtimestamp(second, UTC)
                self._second, self._second_text = second, moment.strftime("%Y-%m-%dT%H:%M:%S")
            self._millisecond, self._text = millisecond, f"{self._second_text}.{rest:03}Z"
        return self._text


_clock: Final = _Clock()
