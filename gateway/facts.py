"""What becomes known about one request on its way, for its line in the PHI access record and for its counts."""

import time
from datetime import UTC, datetime

from gateway.user import User
from runtime.accessrecord import ANONYMOUS, NONE

_NOBODY = f'"sub":"{ANONYMOUS}","role":"{ANONYMOUS}"'
_ACTIONS = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}


class Facts:
    """Filled in by the pipeline. Nothing here may be patient data: patterns, words and numbers only."""

    # Values that most requests never change stand on the class: setting each in turn costs as much as the record's line.
    route = NONE
    entity = ""
    resource = NONE
    """The tag of a row, `many:<n>`, or nothing."""
    single = False
    """One row is asked for."""
    stage = NONE
    side = NONE
    flags = 0
    code = ""
    user: User | None = None

    def __init__(
        self, correlation_id: str, client_id_rejected: bool, method: str, peer: str
    ) -> None:
        self.correlation_id = correlation_id
        self.client_id_rejected = client_id_rejected
        self.method = method
        self.peer = peer

    def line(self, status: int, seconds: float, outcome: str) -> bytes:
        """The record of the request (runtime.accessrecord), without its newline."""
        user = self.user
        action = _ACTIONS.get(self.method) or (
            "read" if self.single or not self.entity else "search"
        )
        rejected = '"client_id_rejected":true,' if self.client_id_rejected else ""
        code = f',"code":"{self.code}"' if self.code else ""
        return (
            f'{{"ts":"{_now()}","correlation_id":"{self.correlation_id}",{rejected}'
            f'{_NOBODY if user is None else user.record},"action":"{action}",'
            f'"entity":"{self.entity or NONE}","resource":"{self.resource}",'
            f'"purpose":"{"operations" if user is None else user.purpose}","outcome":"{outcome}",'
            f'"status":{status},"stage":"{self.stage}","side":"{self.side}",'
            f'"source_ip":"{self.peer or NONE}","flag_version":{self.flags},'
            f'"duration_ms":{seconds * 1000:.3f},"route":"{self.route}","method":"{self.method}"{code}}}'
        ).encode()


class _Moment:
    """The millisecond that was written last, and its second: many records share one."""

    millisecond = second = -1
    text = second_text = ""


def _now() -> str:
    """UTC, RFC 3339, milliseconds."""
    millisecond = time.time_ns() // 1_000_000
    if millisecond != _Moment.millisecond:
        second, rest = divmod(millisecond, 1000)
        if second != _Moment.second:
            moment = datetime.fromtimestamp(second, UTC)
            _Moment.second, _Moment.second_text = second, moment.strftime("%Y-%m-%dT%H:%M:%S")
        _Moment.millisecond, _Moment.text = millisecond, f"{_Moment.second_text}.{rest:03}Z"
    return _Moment.text
