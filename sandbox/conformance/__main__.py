"""`python -m sandbox.conformance --base-url URL --dsn DSN`: exit 0 all hold, 1 differences, 2 wrong usage or no start."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from sandbox.conformance.case import BadCase, load
from sandbox.conformance.runner import NOTE, CannotRun, Report, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="banyan conformance", description=NOTE)
    parser.add_argument("--base-url", required=True, help="of the tables: .../rest/v1 on Supabase")
    parser.add_argument("--dsn", required=True, help="the database behind it, as an owner")
    parser.add_argument("--apikey", help="sent as `apikey`, where an API edge stands in front")
    parser.add_argument("--allow-writes", action="store_true", help="also cases that write")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    given = parser.parse_args(arguments)
    try:
        report = asyncio.run(
            run(
                load(),
                base_url=given.base_url,
                dsn=given.dsn,
                apikey=given.apikey,
                allow_writes=given.allow_writes,
            )
        )
    except (CannotRun, BadCase) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(_as_json(report) if given.json else _as_text(report))
    return 1 if report.differences else 0


def _as_json(report: Report) -> str:
    return json.dumps({**asdict(report), "ran": report.ran, "note": NOTE}, indent=2) + "\n"


def _as_text(report: Report) -> str:
    lines = []
    for difference in report.differences:
        lines.append(f"DIFFERS {difference.case}")
        lines += [f"        {found}" for found in difference.found]
    share = 100 * report.held / report.ran if report.ran else 0.0
    lines.append(f"{report.held} of {report.ran} cases hold ({share:.1f} %): {report.target}")
    if report.skipped:
        lines.append(f"{report.skipped} cases that write were skipped: --allow-writes")
    return "\n".join([*lines, NOTE, ""])


if __name__ == "__main__":
    sys.exit(main())
