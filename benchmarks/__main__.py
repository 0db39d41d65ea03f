"""`python -m benchmarks run TOPIC [--part NAME] [--json] [--size small]`, `python -m benchmarks scoreboard`.

A claim is printed as soon as it is measured. Exit 1 if any does not hold, 2 for a topic or part that is not there.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import replace

from benchmarks.form import FORM  # isort: skip - it decides how the others' imports come
from benchmarks.claim import Claim
from benchmarks.scoreboard import record
from benchmarks.size import Size
from benchmarks.topics import Run, parts, topics
from runtime.logs import configure


def main(argv: list[str] | None = None) -> int:
    known = topics()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="measure one topic")
    one.add_argument("topic", choices=sorted(known))
    one.add_argument("--part", metavar="NAME", help="one part of it, for topics that have parts")
    one.add_argument("--record", action="store_true", help="put its claims on docs/scoreboard.md")
    everything = commands.add_parser("scoreboard", help="measure all, write docs/scoreboard.md")
    for command in (one, everything):
        command.add_argument("--json", action="store_true", help="one JSON line per claim")
        command.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    options = parser.parse_args(argv)
    recorded = options.command == "scoreboard" or options.record
    if recorded and options.size is not Size.FULL:
        parser.error("only claims of full size are recorded")
    configure("benchmarks", level="error", stream=sys.stderr)  # standard output is for claims
    wanted = [known[topic] for topic in sorted(known)]
    if options.command == "run":
        wanted = [_one(parser, options.topic, options.part)]
    claims = asyncio.run(_measure(wanted, options.size, as_json=options.json))
    if recorded:
        record(claims, keep=options.command == "run")
    return 0 if all(claim.ok for claim in claims) else 1


def _one(parser: argparse.ArgumentParser, topic: str, part: str | None) -> Run:
    if part is None:
        return topics()[topic]
    known = parts(topic)
    if part not in known:
        parser.error(f"{topic} has no part {part}; it has {', '.join(known) or 'none'}")
    return known[part]


async def _measure(wanted: list[Run], size: Size, *, as_json: bool) -> list[Claim]:
    claims = []
    for run in wanted:
        async for found in run(size):
            claim = replace(found, how=f"{found.how}; data plane: {FORM}")
            claims.append(claim)
            print(json.dumps(claim.json()) if as_json else _line(claim), flush=True)
    return claims


def _line(claim: Claim) -> str:
    verdict = "holds" if claim.ok else "DOES NOT HOLD"
    return f"{verdict:14} {claim.claim}: {claim.value:g} {claim.unit} (target {claim.target}, n={claim.n})\n{'':15}{claim.how}"


if __name__ == "__main__":
    sys.exit(main())
