"""Operators' changes of flags: four eyes where they are needed, and panic, which must work when little else does."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import structlog

from gateway.control_view import panic_view
from runtime.flagchange import Change, ChangeRefused, Effect, Panic, apply, before, needs_approver
from runtime.flagset import FlagError, FlagSet
from runtime.flagsnapshot import Snapshot
from runtime.flagstore import Approval, Changed, FlagStore, Stored

log = structlog.get_logger("control")

APPROVAL_SECONDS = 15 * 60


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How careful changes are."""

    reason_required: bool
    second_approver_points: int | None
    """None: nobody needs a second person."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A change that was made, and what it did."""

    changed: Changed
    effect: Effect


class Flags:
    """The flags as operators handle them."""

    def __init__(self, store: FlagStore, rules: Rules, kill_switch_file: Path) -> None:
        self.store = store
        self.rules = rules
        self._kill_switch_file = kill_switch_file
        self._known: Stored | None = None

    @property
    def kill_switch(self) -> bool:
        """Whether this machine's file is there."""
        return self._kill_switch_file.exists()

    async def snapshot(self) -> Snapshot:
        """The newest version, as a process on this machine sees it. Raises StoreUnavailable."""
        return self._seen(await self.store.newest())

    def _seen(self, stored: Stored) -> Snapshot:
        self._known = stored
        return Snapshot(
            stored.flag_set,
            version=stored.version,
            store=stored.store,
            kill_switch=self.kill_switch,
        )

    async def change(
        self,
        change: Change,
        *,
        who: str,
        reason: str,
        approval_id: UUID | None = None,
        if_version: int | None = None,
    ) -> Made:
        """Make a change. Raises FlagError."""
        approval = await self.store.approval(approval_id) if approval_id else None
        if approval is not None:
            _check_approval(approval, change, who)
        effects: list[Effect] = []

        def edit(flag_set: FlagSet) -> FlagSet:
            effect = apply(flag_set, change)
            if approval is None:
                self._check_alone(change, effect)
            elif approval.before != before(flag_set, change):
                raise ChangeRefused(
                    "approval_outdated",
                    "the flag or its floor or ceiling has changed since it was approved: ask again",
                )
            effects.append(effect)
            return effect.flag_set

        changed = await self.store.change(
            edit,
            change=change.facts(),
            who=who,
            reason=reason,
            approval=approval,
            if_version=if_version,
        )
        return Made(changed=changed, effect=effects[-1])

    def _check_alone(self, change: Change, effect: Effect) -> None:
        points = self.rules.second_approver_points
        if points is not None and needs_approver(change, effect, points=points):
            raise ChangeRefused(
                "approver_needed",
                f"more than {points} percent of the users could move: a second person must agree",
                "an approver runs `banyan flags approve` with the same words as your command, and gives you the id:"
                " repeat yours with --approval ID",
            )

    async def approve(self, change: Change, *, approver: str) -> Approval:
        """Record an approver's yes to a change from how things are now. Raises ChangeRefused if it is not possible anyway."""
        flag_set = (await self.store.newest()).flag_set
        apply(flag_set, change)
        return await self.store.approve(
            change.facts(), before(flag_set, change), approver=approver, seconds=APPROVAL_SECONDS
        )

    async def panic(self, *, who: str, reason: str) -> dict[str, Any]:
        """Send to legacy whatever may go there: by the file for this machine, by the flag set for all. One of the two is enough.

        Raises FlagError if neither can be done.
        """
        written = self._write_kill_switch(who)
        try:
            stored = await self._store_panic(on=True, who=who, reason=reason)
        except FlagError:
            log.exception("control.panic_not_stored")
            if not written:
                raise
            stored = None
        return self._panic_answer(stored, written=written, on=True)

    async def calm(self, *, who: str, reason: str) -> dict[str, Any]:
        """Take panic back. Raises StoreUnavailable when the flag set may still say so: try again."""
        self._kill_switch_file.unlink(missing_ok=True)
        stored = await self._store_panic(on=False, who=who, reason=reason)
        return self._panic_answer(stored, written=False, on=False)

    def _write_kill_switch(self, who: str) -> bool:
        try:
            self._kill_switch_file.parent.mkdir(parents=True, exist_ok=True)
            said = {"who": who, "at": datetime.now(UTC).isoformat()}
            self._kill_switch_file.write_bytes(orjson.dumps(said))
        except OSError:
            log.exception("control.kill_switch_failed")
            return False
        return True

    async def _store_panic(self, *, on: bool, who: str, reason: str) -> Changed:
        change = Panic(on=on)
        return await self.store.change(
            lambda flag_set: apply(flag_set, change).flag_set,
            change=change.facts(),
            who=who,
            reason=reason,
            unpublished=True,
        )

    def _panic_answer(self, stored: Changed | None, *, written: bool, on: bool) -> dict[str, Any]:
        """With the control database gone, what goes and stays is told from what was last known."""
        known = stored.stored if stored else self._known
        shown = panic_view(self._seen(known)) if known else {"goes": [], "stays": []}
        return {
            "panic": on,
            "version": known.version if known else None,
            "kill_switch": written,
            "stored": stored is not None,
            "published": stored is not None and stored.published,
            **shown,
        }


def _check_approval(approval: Approval, change: Change, who: str) -> None:
    if approval.approver == who:
        raise ChangeRefused("own_approval", "you approved it yourself: a second person must")
    if approval.change != change.facts():
        raise ChangeRefused(
            "approval_for_another", f"the approval is for another change: {dict(approval.change)}"
        )
