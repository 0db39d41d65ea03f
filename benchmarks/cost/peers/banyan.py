"""Ours: the unmodified product with settings from the environment, and the same listener and pool without its features.

The data plane is compiled (`make compiled`, as in the image), but for one row.
"""

import json
import sys
from collections.abc import Mapping

from benchmarks.cost.compiled import bare_missing, missing
from benchmarks.cost.crowd import ISSUER, SECRET, everybody_in_legacy
from benchmarks.cost.place import ROOT, Place
from benchmarks.cost.processor import pinned
from benchmarks.cost.variant import Variant, Work
from catalog.service import Service
from catalog.stage import Side
from runtime.compiled.form import Form
from runtime.flagset import FlagSet, write_flag_set
from sandbox.children import Command

_NO_LIMIT = "1000000000"
_KEY = "k" * 32


def _full(place: Place, flags: FlagSet, form: Form = Form.COMPILED) -> Command:
    return gateway(place, settings(place, flags, form))


def gateway(place: Place, settings: Mapping[str, str]) -> Command:
    """The product with these settings."""
    return _command(place, ("gateway",), settings)


def settings(place: Place, flags: FlagSet, form: Form = Form.COMPILED) -> Mapping[str, str]:
    """As in production, but for limits that a load generator would reach, plain HTTP, and no Redis."""
    service = place.upstream.url(Side.SERVICE)
    return {
        "PROFILE": "sandbox",
        "LEGACY_REST_URL": place.upstream.url(Side.LEGACY),
        "SERVICE_URLS": json.dumps(dict.fromkeys(Service, service)),
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_HS256_SECRET": SECRET,
        "LEGACY_PUBLISHABLE_KEY": "sb_publishable_bench",
        "INTERNAL_TOKEN_KEY": _KEY,
        "CURSOR_KEY": _KEY,
        "ACCESS_LOG_KEY": _KEY,
        "ACCESS_LOG_FOLDER": str(place.folder / "access"),
        "FLAGS_FILE": str(place.write("flags.json", json.dumps(write_flag_set(flags)))),
        "FLAGS_SNAPSHOT_FILE": str(place.folder / "flags.snapshot.json"),
        "KILL_SWITCH_FILE": str(place.folder / "panic"),
        "GATEWAY_PROCESSES": "1",
        "GATEWAY_FORM": form,
        "USER_REQUESTS_PER_SECOND": _NO_LIMIT,
        "PARTNER_REQUESTS_PER_SECOND": _NO_LIMIT,
        "LEGACY_REQUESTS_PER_SECOND": _NO_LIMIT,
    }


def _bare(place: Place) -> Command:
    options = ("--upstream", place.upstream.url(Side.SERVICE), "--form", Form.COMPILED)
    return _command(place, ("benchmarks.cost.bare", *options), {})


def _command(place: Place, module: tuple[str, ...], settings: Mapping[str, str]) -> Command:
    name, *arguments = module
    python = [sys.executable, "-m", name, "--port", str(place.port), *arguments]
    without = {k: v for k, v in place.environment.items() if k != "REDIS_URL"}
    return Command(
        name=name,
        argv=pinned(place.cores.gateway, *python),
        log=place.folder / "access.log",  # its application log; the access record is in access/
        environment={**without, **settings},
        folder=ROOT,
    )


FULL = Variant(
    name="banyan",
    work=Work.FULL,
    missing=missing,
    command=lambda place: _full(place, place.crowd.flags),
    unequal="strict request, method, route, query and flag checks of the product; its log line is the access record",
)
PLAIN = Variant(
    name="banyan, plain Python",
    work=Work.FULL,
    missing=lambda: "",
    command=lambda place: _full(place, place.crowd.flags, Form.PLAIN),
    unequal="as banyan, in the form that needs no C compiler",
)
LEGACY = Variant(
    name="banyan, legacy route with translation",
    work=Work.FULL,
    missing=missing,
    command=lambda place: _full(place, everybody_in_legacy()),
    answered_by_legacy=True,
    unequal="builds the PostgREST query, reads the rows, converts values, writes the list",
)
BARE = Variant(name="banyan bare", work=Work.BARE, missing=bare_missing, command=_bare)

VARIANTS = (FULL, PLAIN, LEGACY, BARE)
