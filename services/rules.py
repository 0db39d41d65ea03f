"""`Rules`: what a service's domain says about a write, beside types, states and row security. A service overrides what it has."""

from collections.abc import Collection, Mapping
from importlib import import_module

from catalog.service import Service
from routes.resource import Resource
from routes.written import Values
from services.leased_ids import LeasedIds
from services.transaction import Transaction


class Rules:
    """Of one entity. Each may raise Refused. `values` are JSON values by column; what a method answers is written."""

    async def complete(
        self, transaction: Transaction, values: Values, named: Collection[str]
    ) -> Values:
        """Before `create`: what a new row gets where its body names nothing, and the route's default does not do."""
        return values

    async def create(self, transaction: Transaction, values: Values) -> Values:
        """Before a new row is written."""
        return values

    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        """Before a locked row is changed; `row` as it is."""
        return values

    async def remove(self, transaction: Transaction, row: Values) -> None:
        """Before a locked row is removed."""

    async def written(
        self, transaction: Transaction, resource: Resource, before: Values | None, after: Values
    ) -> None:
        """Behind a create (`before` is None) or a change, in its transaction: for an event trail. `after` holds what was written."""


NONE = Rules()


def rules_of(service: Service, ids: LeasedIds) -> Mapping[str, Rules]:
    """The rules of a service's own package, by entity."""
    found: Mapping[str, Rules] = import_module(f"services.{service}.rules").rules(ids)
    return found
