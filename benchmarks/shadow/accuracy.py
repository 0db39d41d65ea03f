"""How much a comparison finds, and what else it reports: pages of every resource against themselves, spelt otherwise."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from random import Random
from typing import Any

from benchmarks.claim import Claim
from benchmarks.shadow.rows import changed, drawn_rows, respelt, text_of
from benchmarks.size import Size
from routes import resources
from routes.resource import Resource
from shadow.difference import Difference, Kind
from shadow.pair import Answer, compare
from shadow.shape import Shape

TOPIC = "shadow"
_PROCESSES = 2
_EVERY = 1_000
"""One pair of so many has a real change."""
_MOST_ROWS = 4
_MOST_FALSE = 0.0001


@dataclass(kw_only=True)
class Seen:
    """What one share of the pairs has shown."""

    pairs: int = 0
    values: int = 0
    reported_clean: int = 0
    injected: int = 0
    found: int = 0
    false: int = 0
    """Differences that are neither the injected change nor in its column."""
    inserted: int = 0
    inserted_once: int = 0
    missed: Counter[str] = field(default_factory=Counter)


async def run(size: Size) -> AsyncIterator[Claim]:
    """Needs nothing but processors."""
    pairs = size.of(1_020_000, 4_000)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        shares = [
            loop.run_in_executor(pool, _share, seed, pairs // _PROCESSES)
            for seed in range(_PROCESSES)
        ]
        for claim in _claims(_together(await asyncio.gather(*shares))):
            yield claim


def _share(seed: int, pairs: int) -> Seen:
    dice, seen, exposed = Random(seed), Seen(), resources()
    for number in range(pairs):
        resource = exposed[number % len(exposed)]
        if number % _EVERY == _EVERY - 1:
            _changed_pair(resource, dice, seen)
        elif number % _EVERY == _EVERY // 2:
            _inserted_pair(resource, dice, seen)
        else:
            _clean_pair(resource, dice, seen)
    return seen


def _clean_pair(resource: Resource, dice: Random, seen: Seen) -> None:
    rows, others = _twice(resource, dice)
    seen.reported_clean += bool(_compared(resource, rows, others, dice, seen))


def _changed_pair(resource: Resource, dice: Random, seen: Seen) -> None:
    rows, others = _twice(resource, dice)
    keys = frozenset(resource.asset.key)
    column = dice.choice([c for c in resource.columns(staff=True) if c.target not in keys])
    place = dice.randrange(len(rows))
    others[place][column.target] = changed(column, rows[place][column.target], dice)
    found = _compared(resource, rows, others, dice, seen)
    right = [one for one in found if one.column is not None and one.column.target == column.target]
    seen.injected += 1
    seen.found += bool(right)
    seen.false += len(found) - len(right)
    if not right:
        seen.missed[f"{resource.entity}.{column.target}"] += 1


def _inserted_pair(resource: Resource, dice: Random, seen: Seen) -> None:
    columns, key = resource.columns(staff=True), resource.asset.key
    rows = drawn_rows(columns, key, dice.randint(2, _MOST_ROWS + 1), dice)
    others = [respelt(columns, row, dice) for row in rows[1:]]
    found = _compared(resource, rows, others, dice, seen)
    seen.inserted += 1
    seen.inserted_once += [one.kind for one in found] == [Kind.VISIBILITY]


def _twice(resource: Resource, dice: Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    columns = resource.columns(staff=True)
    rows = drawn_rows(columns, resource.asset.key, dice.randint(1, _MOST_ROWS), dice)
    return rows, [respelt(columns, row, dice) for row in rows]


def _compared(
    resource: Resource,
    rows: list[dict[str, Any]],
    others: list[dict[str, Any]],
    dice: Random,
    seen: Seen,
) -> tuple[Difference, ...]:
    shape = Shape(columns=resource.columns(staff=True), key=resource.asset.key, listed=True)
    dice.shuffle(others)
    one, other = (
        Answer(status=200, body=text_of({"items": found, "next": None}, dice))
        for found in (rows, others)
    )
    found = compare(shape, one, other)
    seen.pairs += 1
    seen.values += sum(found.fields.values())
    return found.differences


def _together(shares: list[Seen]) -> Seen:
    whole = Seen()
    for share in shares:
        for name, value in vars(share).items():
            setattr(whole, name, getattr(whole, name) + value)
    return whole


def _claims(seen: Seen) -> list[Claim]:
    how = (
        f"{seen.pairs} pairs of pages of all {len(resources())} resources in turn, {seen.values} values; the candidate's rows spelt otherwise (order of"
        " members, rows and tags; offsets, fractions and digits; escapes and blanks) by the columns' types; seeds 0 and 1"
    )
    share = seen.false / seen.values
    return [
        Claim(
            topic=TOPIC, claim="pages that say the same in other spellings and are reported", value=seen.reported_clean,
            unit="pairs", target="0", ok=not seen.reported_clean, n=seen.pairs - seen.injected - seen.inserted, how=how,
        ),
        Claim(
            topic=TOPIC, claim="real changes that are found in their column", value=round(100 * seen.found / seen.injected, 3),
            unit="%", target="100 of at least 1,000", ok=seen.found == seen.injected, n=seen.injected,
            how=f"one value of one row in one pair of {_EVERY}, mostly the slightest change that its type has; missed: {dict(seen.missed) or 'none'}; {how}",
        ),
        Claim(
            topic=TOPIC, claim="values reported beside the real change", value=round(100 * share, 5), unit="% of values",
            target="<= 0.01", ok=share <= _MOST_FALSE, n=seen.values, how=f"{seen.false} differences in other columns; {how}",
        ),
        Claim(
            topic=TOPIC, claim="insertions at the head of a list that are not exactly one difference",
            value=seen.inserted - seen.inserted_once, unit="pairs", target="0", ok=seen.inserted == seen.inserted_once,
            n=seen.inserted, how=how,
        ),
    ]  # fmt: skip
