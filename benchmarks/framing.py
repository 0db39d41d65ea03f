"""Where an answer ends, by the pool's `Connection` and by h11: the same bytes, right and wrong ones, side by side."""

from collections import Counter
from collections.abc import AsyncIterator

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.wire_answers import WireAnswers
from benchmarks.wire_readers import Line, Read, disagreement, leniency

TOPIC = "gateway"
CLEAN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean"
CLEAN_READ = Read(
    complete=True, status=200, headers=((b"content-length", b"5"),), body=b"clean", kept=True
)
_SEED = 7


async def run(size: Size) -> AsyncIterator[Claim]:
    """Needs nothing that runs; opens no socket."""
    answers = WireAnswers(_SEED)
    n = size.of(100_000, 2_000)
    complete = kept = disagreed = mixed = 0
    excused: Counter[str] = Counter()
    examples: list[str] = []
    for _ in range(n):
        answer = answers.one()
        line = Line()
        complete += line.ask(answer.pieces, answer.method).complete
        if line.kept:
            kept += 1
            mixed += line.ask([CLEAN]) != CLEAN_READ
        problem = disagreement(answer)
        if problem and (known := leniency(answer)):
            excused[known] += 1
        elif problem:
            disagreed += 1
            examples.append(f"{problem}: {answer.method} {answer.raw[:200]!r}")
    told = ", ".join(f"{count} x {name}" for name, count in excused.most_common())
    supply = "generated answers, half of them damaged, in random pieces"
    yield Claim(
        topic=TOPIC,
        claim="answers that the upstream pool and h11 read differently",
        value=disagreed,
        unit="answers",
        target="0",
        ok=disagreed == 0 and complete > n / 10,
        n=n,
        how=(
            f"{supply}; {complete} were complete for us: status, headers and body equal h11's, and a connection is kept only"
            f" where h11 keeps it; known leniencies of our parser: {told or 'not met'}"
            + (f"; first: {examples[0]}" if examples else "")
        ),
    )
    yield Claim(
        topic=TOPIC,
        claim="answers that change the next one on a connection that was kept",
        value=mixed,
        unit="answers",
        target="0",
        ok=mixed == 0 and kept > n / 20,
        n=kept,
        how=f"{supply}; behind each that leaves its connection open, a clean one to another request on the same connection",
    )
