"""Each `Sabotage` takes one protection of the real code away. A world that then keeps all its promises checks too little."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.simulation import broken
from tests.simulation.setting import Setting

Patch = tuple[Any, str, Any]


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """`breaks`: kinds of violations, of which one must be seen. `known`: a seed of `setting` that shows one."""

    name: str
    setting: Setting
    breaks: Sequence[str]
    patches: Callable[[], Sequence[Patch]]
    known: int

    def applied(self) -> AbstractContextManager[None]:
        return _patched(self.patches())


@contextmanager
def _patched(patches: Sequence[Patch]) -> Iterator[None]:
    were = [(where, name, getattr(where, name)) for where, name, _ in patches]
    for where, name, value in patches:
        setattr(where, name, value)
    try:
        yield
    finally:
        for where, name, value in were:
            setattr(where, name, value)


_MOVED = ("not_equal", "lost", "resurrection", "older_over_newer", "echo")
_SEEN = ("stale_read", "own_writes")
_INTENTS = Setting(nets=False, repairs=0, direct=False, switches=0)
_NETS = Setting(mirrors=False, repairs=0, direct=False, switches=0)
_FLIPS = Setting(flips=1.0, switches=0, reads=1.0, keys=1, span=12.0, log_down=0.0, slow=0.4)
_SWITCHES = Setting(switches=4, span=40.0, ops=8, flips=3.0)
_HOT = Setting(keys=1, users=4, span=12.0)

_STORMY = Setting(flips=1.0, switches=0, reads=1.0, keys=1, span=12.0, crash=0.01, slow=0.4)
_REPEATS = Setting(
    flips=1.0, lost=0.1, switches=0, patience=25.0, slow=0.5, if_match=0.2, crash=0.01
)

_ALL = (
    Sabotage(name="no_guard", setting=_HOT, breaks=_MOVED, patches=broken.no_guard, known=0),
    Sabotage(
        name="no_rank",
        setting=Setting(tick=10.0, skew=0.0, keys=1, users=4),
        breaks=_MOVED,
        patches=broken.no_rank,
        known=6,
    ),
    Sabotage(
        name="no_origin",
        setting=_HOT,
        breaks=(*_MOVED, "false_conflict", "unrecorded"),
        patches=broken.no_origin,
        known=0,
    ),
    Sabotage(
        name="no_tombstones", setting=_HOT, breaks=_MOVED, patches=broken.no_tombstones, known=0
    ),
    Sabotage(
        name="no_seen_at",
        setting=_HOT,
        breaks=("false_conflict",),
        patches=broken.no_seen_at,
        known=1,
    ),
    Sabotage(
        name="conflict_before_apply",
        setting=_HOT,
        breaks=("unrecorded", "false_conflict"),
        patches=broken.conflict_before_apply,
        known=10,
    ),
    Sabotage(
        name="outbox_outside_transaction",
        setting=_NETS,
        breaks=_MOVED,
        patches=broken.outbox_outside_transaction,
        known=5,
    ),
    Sabotage(
        name="mark_before_publish",
        setting=_NETS,
        breaks=_MOVED,
        patches=broken.mark_before_publish,
        known=56,
    ),
    Sabotage(
        name="poll_behind_last",
        setting=_NETS,
        breaks=_MOVED,
        patches=broken.poll_behind_last,
        known=10,
    ),
    Sabotage(
        name="intent_after_write",
        setting=_INTENTS,
        breaks=_MOVED,
        patches=broken.intent_after_write,
        known=14,
    ),
    Sabotage(
        name="settle_on_nothing",
        setting=_INTENTS,
        breaks=_MOVED,
        patches=broken.settle_on_nothing,
        known=97,
    ),
    Sabotage(name="no_grace", setting=_INTENTS, breaks=_MOVED, patches=broken.no_grace, known=2),
    Sabotage(
        name="acknowledge_first",
        setting=_INTENTS,
        breaks=(*_MOVED, "pin_open"),
        patches=broken.acknowledge_first,
        known=1,
    ),
    Sabotage(
        name="remove_before_telling",
        setting=Setting(crash=0.02),
        breaks=("pin_open",),
        patches=broken.remove_before_telling,
        known=1,
    ),
    Sabotage(
        name="fence_by_intent",
        setting=_SWITCHES,
        breaks=("intent_open", "no_rest"),
        patches=broken.fence_by_intent,
        known=3,
    ),
    Sabotage(
        name="no_epoch",
        setting=_SWITCHES,
        breaks=("stale_epoch",),
        patches=broken.no_epoch,
        known=42,
    ),
    Sabotage(
        name="no_mode",
        setting=_SWITCHES,
        breaks=("two_authorities",),
        patches=broken.no_mode,
        known=7,
    ),
    Sabotage(
        name="no_drain",
        setting=_SWITCHES,
        breaks=("two_authorities", "stale_epoch"),
        patches=broken.no_drain,
        known=26,
    ),
    Sabotage(
        name="pin_reads_only",
        setting=_FLIPS,
        breaks=("own_writes",),
        patches=broken.pin_reads_only,
        known=21,
    ),
    Sabotage(
        name="pin_writes_only",
        setting=_FLIPS,
        breaks=("stale_read",),
        patches=broken.pin_writes_only,
        known=4,
    ),
    Sabotage(
        name="flags_before_pins",
        setting=_FLIPS,
        breaks=_SEEN,
        patches=broken.flags_before_pins,
        known=9,
    ),
    Sabotage(
        name="serve_before_pins",
        setting=_STORMY,
        breaks=_SEEN,
        patches=broken.serve_before_pins,
        known=0,
    ),
    Sabotage(
        name="repeat_by_stage",
        setting=_REPEATS,
        breaks=("double_effect",),
        patches=broken.repeat_by_stage,
        known=54,
    ),
    Sabotage(
        name="forget_unknown",
        setting=_REPEATS,
        breaks=("double_effect",),
        patches=broken.forget_unknown,
        known=29,
    ),
)

SABOTAGES: Mapping[str, Sabotage] = {one.name: one for one in _ALL}
