"""Fuzzed bytes, targets and heads: no answer of our own that is a failure, no hang, no second meaning."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.corpus.barrage import LONGEST_SECONDS, Barrage, fire
from benchmarks.corpus.canonical import Verdicts, fuzz_heads, fuzz_targets
from benchmarks.corpus.under_test import under_test, user
from benchmarks.corpus.upstream import Upstream
from benchmarks.size import Size

TOPIC = "gateway"
_SEED = 11
_AT_ONCE = 64


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every claim of the fuzzers. Brings its own gateway and upstream."""
    for measured in (canonical, raw):
        async for claim in measured(size):
            yield claim


async def canonical(size: Size) -> AsyncIterator[Claim]:
    """The pure checks, in this process."""
    targets = fuzz_targets(size.of(700_000, 20_000), _SEED)
    heads = fuzz_heads(size.of(300_000, 10_000), _SEED)
    for verdicts, what, how in (
        (
            targets,
            "targets",
            "decoded up to 12 times: no dot segment, no new slash, no backslash or control; urllib, llhttp's URL parser and"
            " path normalisation read the same",
        ),
        (
            heads,
            "heads",
            "random hosts, absolute targets, Connection tokens, framings and repetitions, against a second reading",
        ),
    ):
        yield _claim(
            f"fuzz: {what} that are accepted and mean two things",
            verdicts.ambiguous + verdicts.raised,
            what,
            verdicts.tried,
            f"{verdicts.accepted} accepted; {how}{_first(verdicts)}",
        )


def _first(verdicts: Verdicts) -> str:
    return f"; first: {'; '.join(verdicts.examples[:3])}" if verdicts.examples else ""


async def raw(size: Size) -> AsyncIterator[Claim]:
    """Raw bytes to a real gateway process, with a well-behaved upstream."""
    payloads = size.of(100_000, 1_500)
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with Upstream().serving() as upstream:
            with under_test(Path(name), upstream.url) as gateway:
                users = [user(number) for number in range(_AT_ONCE)]
                barrage = await fire(gateway, upstream, users, payloads=payloads, seed=_SEED)
    answered = ", ".join(f"{n} x {status}" for status, n in sorted(barrage.answers.items()))
    how = (
        f"bent corpus cases and requests grown from a grammar, {_AT_ONCE} connections at a time, each payload followed by one"
        f" last request; {answered}; {barrage.silent} closed without an answer; slowest {barrage.slowest:.2f} s{_kept(barrage)}"
    )
    yield _claim(
        "fuzz: raw requests answered 5xx by our own code", barrage.own_5xx, "answers", payloads, how
    )
    yield _claim(
        f"fuzz: raw requests that hang longer than {LONGEST_SECONDS:g} s",
        barrage.hung,
        "connections",
        payloads,
        how,
    )
    yield _claim(
        "fuzz: disagreements with the upstream's view",
        barrage.disagreements + len(upstream.violations),
        "requests",
        payloads,
        f"{barrage.forwarded} arrived; each was plainly asked for in that order (own strict reader over the bytes sent), is read"
        f" alike by h11, and was answered under its own correlation id{_kept(barrage)}",
    )


def _kept(barrage: Barrage) -> str:
    """Reasons with the digest of the payload: the seed gives the bytes again."""
    named = [
        f"{reason} ({hashlib.sha256(payload).hexdigest()[:8]})"
        for reason, payload in zip(barrage.reasons[:3], barrage.examples, strict=False)
    ]
    return f"; first: {'; '.join(named)}" if named else ""


def _claim(claim: str, value: int, unit: str, n: int, how: str) -> Claim:
    return Claim(
        topic=TOPIC, claim=claim, value=value, unit=unit, target="0", ok=value == 0, n=n, how=how
    )
