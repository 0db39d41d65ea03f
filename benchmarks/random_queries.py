"""Random /v2 list queries that ask for something: filters by values that real rows have, any order, any page size."""

import random
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from catalog.column import ORDERED, Column
from routes.resource import Resource

Rows = Sequence[dict[str, Any]]


def random_queries(
    resource: Resource, rows: Rows, *, staff: bool, seed: str, count: int
) -> Iterator[str]:
    """`count` query strings, the same for the same arguments. `rows` are decoded items whose values the filters use."""
    dice = random.Random(f"{seed}:{resource.path}")
    filterable = [c for c in _columns(resource, staff=staff) if c.filter]
    sortable = [c.target for c in _columns(resource, staff=staff) if c.sort]
    for _ in range(count):
        words = [
            _condition(column, rows, dice)
            for column in dice.sample(
                filterable, k=min(len(filterable), dice.choice((0, 0, 1, 1, 2, 3)))
            )
        ]
        if dice.random() < 0.7:
            names = dice.sample(sortable, k=dice.randint(1, min(3, len(sortable))))
            words.append("order=" + ",".join(dice.choice(("", "-")) + name for name in names))
        words.append(f"limit={dice.choice((1, 2, 3, 7, 20, 50, 200))}")
        yield "&".join(words)


def _columns(resource: Resource, *, staff: bool) -> list[Column]:
    return [
        c
        for name in resource.asset.by_target
        if (c := resource.column(name, staff=staff)) is not None
    ]


def _condition(column: Column, rows: Rows, dice: random.Random) -> str:
    name = column.target
    if dice.random() < 0.15:
        return f"{name}[is]={dice.choice(('null', 'not_null'))}"
    values = [row[name] for row in rows if row.get(name) is not None]
    if column.values:
        values = list(column.values.values())
    if not values:
        return f"{name}[is]=null"
    operators = ["", "[ne]", "[in]"]
    if column.type in ORDERED and not column.values:
        operators += ["[lt]", "[lte]", "[gt]", "[gte]"] * 2
    operator = dice.choice(operators)
    if operator == "[in]":
        chosen = [_text(dice.choice(values)) for _ in range(dice.randint(1, 4))]
        return f"{name}[in]=" + ",".join(quote(text, safe="") for text in chosen if "," not in text)
    return f"{name}{operator}={quote(_text(dice.choice(values)), safe='')}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
