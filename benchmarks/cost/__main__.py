"""`python -m benchmarks.cost [--only WORD,...]`: the table without claims and without its page, to try something out.

`python -m benchmarks run gateway --part cost` is the measurement that counts.
"""

import argparse
import sys

from benchmarks.cost.bodies import ANSWERS
from benchmarks.cost.rounds import Plan, Setting
from benchmarks.cost.run import VARIANTS, measured


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--only", help="parts of variants' names, comma separated")
    parser.add_argument("--limit", type=int, nargs="*", help=", ".join(_limits()))
    parser.add_argument("--connections", type=int, nargs="*", default=[32])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    settings = [
        Setting(answer=answer, connections=connections)
        for answer in ANSWERS
        if answer.limit in (options.limit or [ANSWERS[0].limit])
        for connections in options.connections
    ]
    plan = Plan(
        settings=settings,
        rounds=options.rounds,
        seconds=options.seconds,
        slow_seconds=3 * options.seconds,
        warm_up_seconds=4,
    )
    words = options.only.split(",") if options.only else [""]
    measured(plan, [v for v in VARIANTS if any(word in v.name for word in words)])
    return 0


def _limits() -> list[str]:
    return [f"{answer.limit} asks for {answer.name}" for answer in ANSWERS]


if __name__ == "__main__":
    sys.exit(main())
