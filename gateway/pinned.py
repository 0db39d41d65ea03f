"""How a read goes for a user whose own writes are not on both sides yet (data-rules section 5). Pure."""

from collections.abc import Set
from dataclasses import replace

from catalog.stage import Side
from gateway.plan import Read, SplitRead
from routes.resource import Resource


def pinned_item(
    plan: Read | SplitRead, sides: Set[Side], of_row: Side | None, resource: Resource
) -> Read | SplitRead:
    """A row that the user has just written is read where it was written; other rows follow the list, where that is one side."""
    if of_row is not None:
        return _at(of_row)
    found = pinned_list(plan, sides, resource, backfilled=False)
    return plan if found is None else found


def pinned_list(
    plan: Read | SplitRead, sides: Set[Side], resource: Resource, *, backfilled: bool
) -> Read | SplitRead | None:
    """The side that has all of the user's writes; None if no single one has: wait until the mirror has caught up."""
    if isinstance(plan, SplitRead) or len(sides) > 1:
        return None
    side = next(iter(sides))
    if side is plan.side:
        # Rows of several homes are federated, and legacy's copy of a row counts only while the service has none.
        return plan if side is Side.LEGACY else replace(plan, pinned=True)
    if resource.home:
        return None
    return _at(side, federated=side is Side.SERVICE and not backfilled)


def _at(side: Side, *, federated: bool = False) -> Read:
    if side is Side.LEGACY:
        return Read(side=side)
    return Read(side=side, falls_back=True, federated=federated, pinned=True)
