"""A pair of answers to one question, and what their comparison says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from routes.json_body import BodyRefused, read_object
from routes.problem import PROBLEMS
from shadow.difference import Difference, Kind
from shadow.page import page_differences, row_key
from shadow.row import changed_at, row_differences
from shadow.shape import Shape

HEADERS = ("content-type", "etag")
"""What is compared of the headers; the rest is of the connection, or of the moment."""
_NO_CODE = "no code of ours"
_REFUSED_TO_SHOW = frozenset({403, 404})
_NOT_AN_ANSWER = frozenset({401, 408, 425, 429, 499})
"""With 5xx: such a side has said nothing about the rows."""


class Result(StrEnum):
    MATCH = "match"
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"
    """One side gave no answer, or the rows are younger than the other side is behind: neither counts."""


class Reason(StrEnum):
    """Why a pair is inconclusive."""

    PRIMARY_FAILED = "primary_failed"
    CANDIDATE_FAILED = "candidate_failed"
    TRUNCATED = "truncated"
    LAG = "lag"
    FELL_BACK = "fell_back"
    """The other side has answered in the primary's place."""


def said_nothing(status: int) -> bool:
    """Whether an answer of this status is none to compare with."""
    return status >= 500 or status in _NOT_AN_ANSWER


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One side's. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What one pair says. `fields`: how many values of each member were held against each other."""

    result: Result
    reason: Reason | None = None
    differences: tuple[Difference, ...] = ()
    fields: Mapping[str, int] = field(default_factory=dict)


def compare(shape: Shape, primary: Answer, candidate: Answer) -> Comparison:
    """Never raises for what the candidate sends. A primary's body that is no JSON of this shape is `primary_failed`."""
    if said_nothing(primary.status):
        return Comparison(result=Result.INCONCLUSIVE, reason=Reason.PRIMARY_FAILED)
    if said_nothing(candidate.status):
        return Comparison(result=Result.INCONCLUSIVE, reason=Reason.CANDIDATE_FAILED)
    if not (primary.ok and candidate.ok):
        return _of(tuple(_refusals(primary, candidate)), {})
    try:
        left = _body(shape, primary)
    except BodyRefused:
        return Comparison(result=Result.INCONCLUSIVE, reason=Reason.PRIMARY_FAILED)
    try:
        right = _body(shape, candidate)
    except BodyRefused as refused:
        return _of((Difference(kind=Kind.UNREADABLE, path="", right=refused.code),), {})
    changed = None if shape.listed else changed_at(shape, left, right)
    head = (replace(one, changed_at=changed) for one in _envelope(primary, candidate))
    return _of((*head, *_rows(shape, left, right)), _counted(shape, left))


def _of(differences: tuple[Difference, ...], fields: Mapping[str, int]) -> Comparison:
    decided = any(one.decides for one in differences)
    result = Result.MISMATCH if decided else Result.MATCH
    return Comparison(result=result, differences=differences, fields=fields)


# --- refusals and headers


def _refusals(primary: Answer, candidate: Answer) -> Iterator[Difference]:
    statuses = {primary.status, candidate.status}
    if (primary.ok or candidate.ok) and statuses & _REFUSED_TO_SHOW:
        yield Difference(kind=Kind.VISIBILITY, path="", left=primary.status, right=candidate.status)
    elif primary.status != candidate.status:
        yield Difference(
            kind=Kind.STATUS, path="status", left=primary.status, right=candidate.status
        )
    else:
        codes = _code(primary), _code(candidate)
        if codes[0] != codes[1]:
            left, right = map(_word_of_ours, codes)
            yield Difference(kind=Kind.ERROR_CLASS, path="code", left=left, right=right)


def _code(answer: Answer) -> str:
    """Of a problem document (RFC 9457), or what is no such document."""
    if not answer.body:
        return ""
    try:
        return str(read_object(answer.body).get("code", ""))
    except BodyRefused as refused:
        return refused.code


def _word_of_ours(code: str) -> str:
    """A code is said in evidence, so it has to be one: what else stands there may be anybody's data."""
    return code if code in PROBLEMS else _NO_CODE


def _envelope(primary: Answer, candidate: Answer) -> Iterator[Difference]:
    if primary.status != candidate.status:
        yield Difference(
            kind=Kind.STATUS, path="status", left=primary.status, right=candidate.status
        )
    for name in HEADERS:
        left, right = primary.headers.get(name, ""), candidate.headers.get(name, "")
        if left != right:
            yield Difference(kind=Kind.HEADER, path=name, left=left, right=right)


# --- bodies


def _body(shape: Shape, answer: Answer) -> Mapping[str, Any]:
    body = read_object(answer.body)
    if shape.listed:
        items = body.get("items")
        if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
            raise BodyRefused("expected_a_list_of_rows")
    return body


def _rows(shape: Shape, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    if shape.listed:
        yield from page_differences(shape, left, right)
    else:
        yield from row_differences(shape, left, right, row=row_key(shape, left))


def _counted(shape: Shape, body: Mapping[str, Any]) -> Mapping[str, int]:
    rows = len(body["items"]) if shape.listed else 1
    return {column.target: rows for column in shape.columns} if rows else {}
