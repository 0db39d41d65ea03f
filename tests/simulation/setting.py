"""`Setting`: what a world is like, and the settings that have names. Times in seconds, shares between 0 and 1."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of world; with a seed it is one world."""

    users: int = 3
    keys: int = 2
    """Rows that everybody writes; creates with an idempotency key add rows of their own."""
    ops: int = 5
    """Most writes of one user."""
    span: float = 25.0
    """How long users write, about."""
    direct: bool = True
    """Somebody writes to legacy without the gateway."""
    gateways: int = 2
    workers: int = 2
    start: str = "mixed"
    """Who has the authority: `legacy`, `mixed` (by each user's stage) or `service`."""
    switches: int = 1
    """Most changes of authority."""
    flips: float = 6.0
    """Mean time between two users' changes of stage; 0: none."""
    skew: float = 90.0
    """Most that a side's clock is off."""
    tick: float = 0.0
    """What the sides' clocks are rounded down to; 0: microseconds."""
    crash: float = 0.004
    """Of each step between processes."""
    lost: float = 0.02
    """Answers that get lost, requests that do not arrive, engines that say no; of each call."""
    slow: float = 0.2
    """Of delays that are long."""
    late_commit: float = 0.15
    """Of transactions that take longer than their caller waits."""
    twice: float = 0.2
    """Of log entries that are delivered twice."""
    log_down: float = 0.3
    """Of worlds in which the event log is away for a while."""
    disk_full: float = 0.1
    """Of spools that take nothing, each time they are asked."""
    nets: bool = True
    """The second net: legacy's log and the services' outboxes are read."""
    mirrors: bool = True
    """The first net: the workers of intents run. Without them nothing is settled, and pins stay."""
    backfill: bool = True
    """The service begins without some of legacy's rows, and they are brought."""
    repairs: int = 1
    reads: float = 0.7
    """Of writes behind which their user reads."""
    patience: float = 6.0
    """Longest that a user waits before a request is repeated."""
    if_match: float = 0.4
    """Of changes and deletes that name the version they are meant for."""
    partitions: int = 2


SETTINGS: Mapping[str, Setting] = {
    "plain": Setting(),
    "calm": Setting(crash=0.0, lost=0.0, log_down=0.0, disk_full=0.0, late_commit=0.05),
    "hot": Setting(keys=1, users=4, span=12.0),
    "ties": Setting(tick=1.0, skew=2.0),
    "coarse": Setting(tick=10.0, skew=0.0, keys=1),
    "skew300": Setting(skew=300.0),
    "crashes": Setting(crash=0.02, lost=0.06, slow=0.4, twice=0.5),
    "switches": Setting(switches=4, span=60.0, ops=8),
    "from_legacy": Setting(start="legacy", switches=3, span=40.0),
    "from_service": Setting(start="service", switches=3, span=40.0),
    "flips": Setting(flips=1.5, switches=0, reads=1.0),
    "log_down": Setting(log_down=1.0, disk_full=0.3),
    "intents_only": Setting(nets=False, direct=False, switches=0),
    "nets_only": Setting(mirrors=False),
}


def varied(setting: Setting, **changes: object) -> Setting:
    return replace(setting, **changes)  # type: ignore[arg-type]
