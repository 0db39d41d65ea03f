"""`Pair`: one read whose two answers are compared."""

from catalog.stage import Side
from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.plan import Read
from gateway.shadowing.counts import Cell
from gateway.shadowing.told import Told
from routes.match import Match


class Pair:
    """`facts` are those of the caller's read, `plan` is how it was answered, `candidate` who is asked behind it."""

    __slots__ = ("candidate", "cell", "facts", "found", "held", "plan", "primary", "request")

    def __init__(
        self,
        request: Request,
        found: Match,
        facts: Facts,
        plan: Read,
        candidate: Side,
        primary: Told,
        cell: Cell,
    ) -> None:
        self.request = request
        self.found = found
        self.facts = facts
        self.plan = plan
        self.candidate = candidate
        self.primary = primary
        self.cell = cell
        self.held = primary.size
        """Bytes that are kept for it."""
