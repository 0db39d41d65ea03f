"""`Lease`: somebody has a thing for a while. Pure; now is the database's clock (`Transaction.clock`) for everybody."""

from dataclasses import dataclass
from datetime import datetime

from routes.refused import Claimed

DEFAULT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Lease:
    """`holder` has it until `until`, and keeps it behind that for as long as nobody takes it over."""

    holder: str
    until: datetime

    def check(self, who: str, now: datetime) -> None:
        """Raises Claimed while somebody else has it."""
        left = (self.until - now).total_seconds()
        if self.holder != who and left > 0:
            raise Claimed(left)
