"""The table of a run: on standard error, and as docs/benchmarks-gateway.md."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.cost.peers import banyan, envoy, fastify
from benchmarks.cost.place import ROOT, program
from benchmarks.cost.rounds import Plan, Row, Setting, ratio
from benchmarks.cost.variant import Work

PAGE = ROOT / "docs" / "benchmarks-gateway.md"
_NEAR_LIMIT = 0.9
_COLUMNS = (
    *("", "work", "CPU us, mean", "min", "times ours", "kernel", "waits", "p50 us", "1/s"),
    *("its core", "others there", "other core", "rounds", "remarks"),
)


def write_page(rows: Sequence[Row], claims: Sequence[Claim], plan: Plan) -> None:
    """Replace the page by this run."""
    PAGE.write_text(page(rows, claims, plan), encoding="utf-8")


def page(rows: Sequence[Row], claims: Sequence[Claim], plan: Plan) -> str:
    """Markdown."""
    parts = [
        "# What a request costs\n",
        "Written by `python -m benchmarks run gateway --part cost`; how to read and repeat it: [benchmarks.md](benchmarks.md).",
        f"Run of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {_machine()}. {plan.rounds} interleaved rounds of {plan.seconds} s"
        f" ({plan.slow_seconds} s where marked *slow*). Compare figures inside one table only.\n",
        "## Claims\n",
        "| claim | measured | target | holds |\n|---|---|---|---|",
        *(_claim_row(claim) for claim in claims),
        "",
    ]
    for setting in plan.settings:
        parts += [f"## {setting.name}\n", *_markdown(setting, rows), ""]
    parts += ["## Where our time goes\n", *_split(rows, plan.settings), ""]
    unequal = [row.variant for row in rows if row.variant.unequal]
    parts += ["## What is unequal\n", *(f"- *{one.name}*: {one.unequal}." for one in unequal), ""]
    parts += ["## Versions\n", *(f"- {line}" for line in _versions()), ""]
    return "\n".join(parts)


def text(rows: Sequence[Row], settings: Sequence[Setting]) -> str:
    """For a terminal."""
    lines = []
    for setting in settings:
        table = [(setting.name, *_COLUMNS[1:]), *(_cells(row, setting, rows) for row in rows)]
        widths = [max(len(line[n]) for line in table) for n in range(len(_COLUMNS) - 1)]
        lines += ["  ".join(_aligned(line, widths)).rstrip() for line in table] + [""]
    return "\n".join(lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for number, (cell, width) in enumerate(zip(line, widths, strict=False)):
        yield cell.ljust(width) if number < 2 else cell.rjust(width)
    yield line[-1]


def _markdown(setting: Setting, rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---|---|" + "---:|" * (len(_COLUMNS) - 3) + "---|"
    for row in rows:
        yield f"| {' | '.join(_cells(row, setting, rows))} |"


def _cells(row: Row, setting: Setting, rows: Sequence[Row]) -> tuple[str, ...]:
    """One line of the table; dashes where there is no figure."""
    good = row.good(setting)
    remarks = "; ".join(_remarks(row, setting))
    name = (row.variant.name, row.variant.work.value)
    if not good:
        return (*name, *["-"] * (len(_COLUMNS) - 3), remarks)
    loads = [one.load for one in good if one.load]
    cpu: tuple[str, ...] = ("-", "-", "-", "-", "-")
    if row.variant.work is not Work.NONE:
        costs = [one.cpu_us for one in good]
        ours = _row_of(rows, banyan.FULL.name)
        times = ratio(row, ours, setting) if ours else None
        kernel = statistics.fmean(one.kernel_share for one in good)
        waits = statistics.fmean(one.waits for one in good)
        cpu = (
            *(f"{statistics.fmean(costs):.1f}", f"{min(costs):.1f}"),
            f"{times[0]:.2f}" if times else "-",
            *(f"{kernel:.0%}", f"{waits:.2f}"),
        )
    return (
        *name,
        *cpu,
        f"{statistics.median(load.p50_us for load in loads):.0f}",
        f"{statistics.fmean(load.requests / load.seconds for load in loads):.0f}",
        f"{statistics.fmean(one.own_load for one in good):.0%}",
        f"{statistics.fmean(one.foreign_load for one in good):.0%}",
        f"{statistics.fmean(one.rest_core for one in good):.0%}",
        str(len(good)),
        remarks,
    )


def _remarks(row: Row, setting: Setting) -> Iterator[str]:
    if row.not_here:
        yield f"not here: {row.not_here}"
    yield from row.faults
    rounds = row.rounds.get(setting, [])
    if not rounds and not row.not_here:
        yield "not measured in this setting"
    yield from (f"void: {one.void}" for one in rounds if one.void)
    good = row.good(setting)
    if good and statistics.fmean(one.rest_core for one in good) > _NEAR_LIMIT:
        if row.variant.work is Work.NONE:
            yield "the most that load generator and upstream can do on their core"
        else:
            yield "the other core was near its limit: p50 and 1/s are not this row's own"
    if row.variant.slow:
        yield "slow"


def _split(rows: Sequence[Row], settings: Sequence[Setting]) -> Iterator[str]:
    """Differences between our own rows, and what of each the kernel takes."""
    yield "Differences of means, CPU us per request: what the features cost over bare proxying, what translation costs over that.\n"
    yield "| | bare: kernel | bare: ours | features | whole, pass-through | translation |\n|---|---:|---:|---:|---:|---:|"
    for setting in settings:
        full, bare, legacy = (
            _row_of(rows, variant.name) for variant in (banyan.FULL, banyan.BARE, banyan.LEGACY)
        )
        yield (
            f"| {setting.name} | {_kernel(bare, setting)} | {_own(bare, setting)} | {_minus(full, bare, setting)}"
            f" | {_mean(full, setting)} (kernel {_kernel(full, setting)}) | {_minus(legacy, full, setting)} |"
        )


def _mean(row: Row | None, setting: Setting) -> str:
    mean = row.mean_us(setting) if row else None
    return "-" if mean is None else f"{mean:.1f}"


def _kernel(row: Row | None, setting: Setting) -> str:
    good = row.good(setting) if row else []
    if not good:
        return "-"
    return f"{statistics.fmean(one.cpu_us * one.kernel_share for one in good):.1f}"


def _own(row: Row | None, setting: Setting) -> str:
    good = row.good(setting) if row else []
    if not good:
        return "-"
    return f"{statistics.fmean(one.cpu_us * (1 - one.kernel_share) for one in good):.1f}"


def _minus(row: Row | None, other: Row | None, setting: Setting) -> str:
    whole = row.mean_us(setting) if row else None
    part = other.mean_us(setting) if other else None
    return "-" if whole is None or part is None else f"{whole - part:.1f}"


def _row_of(rows: Sequence[Row], name: str) -> Row | None:
    return next((row for row in rows if row.variant.name == name), None)


def _claim_row(claim: Claim) -> str:
    holds = "yes" if claim.ok else "**no**"
    return f"| {claim.claim} | {claim.value:g} | {claim.target} | {holds} |"


def _machine() -> str:
    names = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    return f"{os.cpu_count()} cores ({', '.join(sorted(names)) or 'unknown'}), Linux {platform.release()}"


def _versions() -> Iterator[str]:
    python = (
        f"{name} {version(name)}"
        for name in ("uvicorn", "uvloop", "httptools", "starlette", "httpx", "pyjwt")
    )
    yield f"Python {platform.python_version()}: {', '.join(python)}"
    for name, option in (("nginx", "-v"), ("haproxy", "-v"), ("wrk", "-v"), ("node", "-v")):
        if path := program(name):
            done = subprocess.run([path, option], capture_output=True, text=True, check=False)
            words = (done.stdout or done.stderr).splitlines()[0]
            yield words if name in words.lower() else f"{name} {words}"
    yield envoy.REQUIREMENT.replace("==", " ")
    yield ", ".join(f"{name} {version_}" for name, version_ in fastify.versions().items())
