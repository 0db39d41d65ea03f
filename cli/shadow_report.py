"""What `banyan shadow report` says of a `shadow.report.Report`: tables, or JSON. Counts, words and correlation ids alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.outcome import notes, out
from runtime.shadowstore import Example, Ignored
from runtime.tagger import Tag, likeness
from shadow.report import FieldReport, Latency, Report, RouteReport
from shadow.verdict import WHOLE

ANSWER = "(answer)"
"""In place of a column: status, headers, order."""
_NONE = ""


def tell_routes(found: Report, ignored: Sequence[Ignored], *, everything: bool) -> None:
    """A line for each route, and the whole."""
    shown = [one for one in found.routes if everything or one.used]
    if shown:
        names = ("route", "asked", "pairs", "wrong", "rate", "at most", "noise", "no answer")
        times = ("p50 ms", "p99 ms", "asked p50", "asked p99")
        table = Table(*names, *times, "outcome", "why", box=None)
        for one in shown:
            table.add_row(*_route_line(one))
        out.print(table)
    left = len(found.routes) - len(shown)
    if left:
        out.print(
            f"{left} routes without traffic are not shown (--all does); each holds the whole back."
        )
    _tell_whole(found, ignored)


def tell_fields(
    found: Report, ignored: Sequence[Ignored], field: str | None, examples: Sequence[Example]
) -> None:
    """Each route's columns, worst first, and what differed lately."""
    for one in found.routes:
        out.print(
            f"{one.route}, {one.candidate} asked: {one.pairs} pairs, {one.mismatches} wrong, {_word(one)}",
            markup=False,
        )
        _tell_latency(one)
        table = Table(
            *("column", "pairs", "wrong", "rate", "at most", "noise", "outcome", "kinds", ""),
            box=None,
        )
        for column in one.fields:
            if field is None or column.name == field:
                table.add_row(*_field_line(column))
        if table.row_count:
            out.print(table)
    if examples:
        names = (
            "correlation id",
            "when (UTC)",
            "asked",
            "kind",
            "path",
            "primary",
            "asked one",
            "tags",
            "",
        )
        table = Table(*names, box=None)
        for example in examples:
            table.add_row(*(Text(cell) for cell in example_line(example)))
        out.print(table)
    _tell_whole(found, ignored)


def document(
    found: Report, ignored: Sequence[Ignored], since: datetime, examples: Sequence[Example] = ()
) -> dict[str, Any]:
    """The whole as plain JSON. Rates are fractions, times milliseconds."""
    return {
        "since": since.isoformat(),
        "threshold": found.threshold,
        "overall": found.overall,
        "releases": list(found.releases),
        "unknown_routes": dict(found.unknown),
        "unreadable": found.unreadable,
        "ignored": [{**asdict(one), "until": one.until.isoformat(), "at": one.at.isoformat()} for one in ignored],
        "routes": [_route_document(one) for one in found.routes],
        "examples": [example_document(one) for one in examples],
    }  # fmt: skip


def example_document(one: Example) -> dict[str, Any]:
    """Without the sealed key and the tags themselves."""
    return {
        "correlation_id": one.correlation_id,
        "at": one.at.isoformat(),
        "route": one.route,
        "entity": one.entity,
        "candidate": one.candidate,
        "noise": one.noise,
        "release": one.release,
        "flag_version": one.flag_version,
        "kind": one.kind,
        "path": one.path,
        "field": one.field,
        "decides": one.decides,
        "about_a_row": bool(one.sealed_key),
        "primary": _without_tag(one.left),
        "asked": _without_tag(one.right),
        "tags": tags_said(one),
    }


def example_line(one: Example) -> tuple[str, ...]:
    marks = [*(["noise"] if one.noise else []), *([] if one.decides else ["does not decide"])]
    return (
        one.correlation_id,
        one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        one.candidate,
        one.kind,
        one.path,
        _side(one.left),
        _side(one.right),
        tags_said(one),
        ", ".join(marks),
    )


def tags_said(one: Example) -> str:
    """What the tags of both values say: equal, different, unknown (two keys), or nothing where one side has none."""
    tags = [_tag(side.get("tag", "")) for side in (one.left, one.right)]
    return str(likeness(tags[0], tags[1])) if tags[0] and tags[1] else _NONE


def _tag(text: str) -> Tag | None:
    key_id, _, hex_ = text.rpartition(":")
    return Tag(key_id=key_id, hex=hex_) if text else None


def _side(trace: Mapping[str, str]) -> str:
    return " ".join(filter(None, (trace.get(name, "") for name in ("type", "length", "said"))))


def _without_tag(trace: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in trace.items() if name != "tag"}


# --- a route


def _route_line(one: RouteReport) -> tuple[str, ...]:
    whole = one.verdict.whole
    return (
        one.route,
        one.candidate,
        str(one.pairs),
        str(one.mismatches),
        _percent(whole.rate) if one.pairs else _NONE,
        _percent(whole.at_most) if one.pairs else _NONE,
        f"{one.noise_mismatches}/{one.noise_pairs}" if one.noise_pairs else _NONE,
        ", ".join(f"{reason} {count}" for reason, count in sorted(one.inconclusive.items())),
        *(_ms(seconds) for side in (one.primary, one.other) for seconds in (side.p50, side.p99)),
        one.verdict.outcome,
        _why(one),
    )


def _why(one: RouteReport) -> str:
    worst = next((f.name for f in one.fields if f.decides), None)
    named = worst is not None and worst != WHOLE and one.verdict.why in ("rate", "noise")
    return (
        f"{one.verdict.why}: {worst}"
        if named and one.verdict.outcome != "pass"
        else one.verdict.why
    )


def _word(one: RouteReport) -> str:
    return f"{one.verdict.outcome} ({_why(one)})"


def _tell_latency(one: RouteReport) -> None:
    for name, side in (("primary", one.primary), ("asked", one.other)):
        if side.count:
            out.print(
                f"  {name}: {side.count} answers, p50 {_ms(side.p50)} ms, p99 {_ms(side.p99)} ms"
            )
    for reason, count in sorted(one.inconclusive.items()):
        out.print(f"  inconclusive, {reason}: {count}")


def _field_line(one: FieldReport) -> tuple[str, ...]:
    found = one.judged
    counts = found.counts
    kinds = [f"{kind} {count}" for kind, count in one.kinds.items()]
    kinds += [f"noise {kind} {count}" for kind, count in one.noise_kinds.items()]
    return (
        field_name(one.name),
        str(counts.pairs),
        str(counts.wrong),
        _percent(found.rate),
        _percent(found.at_most),
        f"{counts.noise_wrong}/{counts.noise_pairs}" if counts.noise_pairs else _NONE,
        found.outcome if one.decides else _NONE,
        ", ".join(kinds),
        "ignored" if one.ignored else "does not decide" if one.undecided else _NONE,
    )


def field_name(name: str) -> str:
    return ANSWER if name == WHOLE else name


# --- the whole


def _tell_whole(found: Report, ignored: Sequence[Ignored]) -> None:
    for one in ignored:
        out.print(
            f"ignored until {one.until:%Y-%m-%d}: {one.path} ({one.who}: {one.reason})",
            markup=False,
        )
    if len(found.releases) > 1:
        notes.print(
            f"Of several releases: {', '.join(found.releases)}. --release judges one.", markup=False
        )
    for route, count in sorted(found.unknown.items()):
        notes.print(f"{count} counts of {route}, which is not exposed.", markup=False)
    if found.unreadable:
        notes.print(f"{found.unreadable} counts are of a form that this release does not know.")
    out.print(
        f"overall: {found.overall} (at most {_percent(found.threshold)} of a column's pairs may differ)"
    )


def _route_document(one: RouteReport) -> dict[str, Any]:
    whole = one.verdict.whole
    return {
        "route": one.route,
        "entity": one.entity,
        "candidate": one.candidate,
        "outcome": one.verdict.outcome,
        "why": one.verdict.why,
        "pairs": one.pairs,
        "mismatches": one.mismatches,
        "visibility": one.visibility,
        "rate": whole.rate,
        "at_least": whole.at_least,
        "at_most": whole.at_most,
        "inconclusive": dict(one.inconclusive),
        "noise": {"pairs": one.noise_pairs, "mismatches": one.noise_mismatches},
        "primary": _latency_document(one.primary),
        "asked": _latency_document(one.other),
        "fields": {field_name(each.name): _field_document(each) for each in one.fields},
    }


def _field_document(one: FieldReport) -> dict[str, Any]:
    found = one.judged
    return {
        "outcome": found.outcome,
        "why": found.why,
        "decides": one.decides,
        "ignored": one.ignored,
        "pairs": found.counts.pairs,
        "wrong": found.counts.wrong,
        "rate": found.rate,
        "at_least": found.at_least,
        "at_most": found.at_most,
        "kinds": dict(one.kinds),
        "noise": {
            "pairs": found.counts.noise_pairs,
            "wrong": found.counts.noise_wrong,
            "kinds": dict(one.noise_kinds),
        },
    }


def _latency_document(side: Latency) -> dict[str, Any]:
    return {
        "count": side.count,
        "p50_ms": None if side.p50 is None else side.p50 * 1000,
        "p99_ms": None if side.p99 is None else side.p99 * 1000,
    }


def _percent(rate: float) -> str:
    return f"{rate:.3%}"


def _ms(seconds: float | None) -> str:
    return _NONE if seconds is None else f"{seconds * 1000:.1f}"
