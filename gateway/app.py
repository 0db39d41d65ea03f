"""The composition root of the data plane."""

import time

from catalog.service import Service
from gateway.alarm import Alarm
from gateway.bellfeed import BellFeed
from gateway.credentials import SERVICE_KEY
from gateway.deps import Deps
from gateway.legacy_side import LEGACY, LegacySide
from gateway.limits import BURST_SECONDS, Limits
from gateway.metrics import Metrics
from gateway.overload import Overload
from gateway.pins import Pins
from gateway.read import Reader
from gateway.server import Feed, Gateway
from gateway.service_side import ServiceSide, owners
from gateway.shadowing.shadowing import Shadowing
from gateway.user import user_of
from gateway.write_path import WritePath
from routes import resources
from routes.openapi import document
from runtime.accesslog import AccessLog
from runtime.alertbell import AlertBell
from runtime.alertclass import SERVICE_KEY_REFUSED
from runtime.flagfeed import FlagFeed
from runtime.internal_token import InternalTokens
from runtime.issuer import issuer_keys, issuer_upstream, issuer_verifier
from runtime.ratelimit import Budget
from runtime.revocationfeed import RevocationFeed
from runtime.settings import Settings
from runtime.upstream.configured import upstream


def create_app(settings: Settings) -> Gateway:
    """Everything real, put together. Raises SettingsError for what is missing."""
    metrics = Metrics(settings.metrics_folder)
    legacy = upstream(
        settings,
        LEGACY,
        settings.need("legacy_rest_url"),
        connections=settings.legacy_connections,
    )
    services = {
        service: upstream(
            settings,
            service.value,
            settings.service_url(service),
            connections=settings.upstream_connections,
        )
        for service in Service
    }
    keys = issuer_upstream(settings)
    cursor_key = settings.need_secret("cursor_key").encode()
    owner = owners(services)
    service_side = ServiceSide(
        owner, InternalTokens(settings.need_secret("internal_token_key")), cursor_key
    )
    legacy_side = LegacySide(
        legacy,
        apikey=settings.need_secret("legacy_publishable_key"),
        budget=Budget(
            per_second=settings.legacy_requests_per_second,
            burst=settings.legacy_requests_per_second * BURST_SECONDS,
        ),
        unrepresentable=lambda entity, column: metrics.unrepresentable.inc(entity, column),
    )
    reader = Reader(legacy_side, service_side, cursor_key)
    pins = Pins()
    write_path = None
    if settings.control_database_url is not None and settings.redis_url is not None:
        write_path = WritePath(settings, metrics, legacy_side, owner, reader, pins)
    overload, records = Overload(), AccessLog(settings.access_log_folder, "gateway")
    shadowing = Shadowing.of(settings, metrics, records, overload, cursor_key)
    flags = FlagFeed.of(
        settings, before=None if write_path is None else write_path.pinfeed.catch_up
    )
    revocations = RevocationFeed.of(settings)
    bell = AlertBell(SERVICE_KEY_REFUSED, detail="gateway")
    deps = Deps(
        settings=settings,
        verifier=issuer_verifier(
            settings, issuer_keys(settings, keys), derive=user_of, revoked=revocations
        ),
        flags=flags,
        reader=reader,
        services=owner,
        writes=None if write_path is None else write_path.rows,
        operations=None if write_path is None else write_path.operations,
        shadows=None if shadowing is None else shadowing.reads,
        pins=pins,
        limits=Limits(settings, metrics),
        overload=overload,
        records=records,
        metrics=metrics,
        tally=metrics.tally,
        alarm=Alarm(metrics, time.monotonic, {SERVICE_KEY: bell}),
        cursor_key=cursor_key,
        record_key=settings.need_secret("access_log_key").encode(),
        openapi=document(resources()),
        clock=time.monotonic,
    )
    metrics.watch(
        "banyan_revocations_version",
        "Version of the list of revocations in use",
        lambda: revocations.current.version,
        across=min,
    )
    metrics.watch(
        "banyan_revocations_staleness_seconds",
        "Since the list's source was last heard",
        lambda: revocations.staleness_seconds,
        across=max,
    )
    feeds: list[Feed] = [flags, revocations]
    if write_path is not None:
        feeds.insert(0, write_path)
    if settings.control_database_url is not None:
        feeds.append(BellFeed(settings.need_secret("control_database_url"), [bell]))
    upstreams = [legacy, keys, *services.values()]
    if shadowing is not None:
        feeds.append(shadowing)
        upstreams += shadowing.upstreams
    return Gateway(deps, feeds=feeds, upstreams=upstreams)
