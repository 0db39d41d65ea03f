"""OFREP: the caller's own flags by the stage that routes the caller, in the protocol's words."""

from typing import Any

import orjson
import pytest

from catalog.stage import Stage
from gateway.ofrep import LARGEST_BODY, OfrepAnswer, answer
from runtime.flagchange import Allow, Change, Panic, Ramp, SetOverride, apply
from runtime.flagrule import By, Override
from runtime.flagset import FlagSet, Scope, first_flag_set, flag_entities
from runtime.flagsnapshot import FlagUser, Snapshot

pytestmark = pytest.mark.unit

ALL = b"/ofrep/v1/evaluate/flags"
LAB = Scope(entity="lab_orders")
CONSENT = Scope(entity="compliance_tasks", partition="consent_renewal")
USER = FlagUser(sub="0f0f0f0f-0000-4000-8000-000000000001", role="patient")
MINE = orjson.dumps({"context": {"targetingKey": USER.sub, "email": "ignored"}})


def snapshot(*changes: Change, version: int = 3) -> Snapshot:
    flag_set = first_flag_set(Stage.COMPLETE)
    for change in changes:
        flag_set = apply(flag_set, change).flag_set
    return Snapshot(flag_set, version=version, store="s")


def ask(
    path: bytes,
    *changes: Change,
    body: bytes = MINE,
    tag: bytes | None = None,
    user: FlagUser = USER,
    version: int = 3,
) -> tuple[OfrepAnswer, Any]:
    found = answer(snapshot(*changes, version=version), user, path, body, tag)
    return found, orjson.loads(found.body) if found.body else None


def header(found: OfrepAnswer, name: bytes) -> bytes | None:
    return dict(found.headers).get(name)


RAMP = Ramp(scope=LAB, stage=Stage.LIVE, tenths=1000)
OVERRIDE = SetOverride(
    scope=LAB, override=Override(by=By.USER, value=USER.sub, stage=Stage.RAMP_DOWN)
)


def test_one_flag_by_share():
    found, body = ask(ALL + b"/lab_orders.stage", RAMP)
    assert found.status == 200
    assert body == {
        "key": "lab_orders.stage",
        "value": "live",
        "variant": "live",
        "reason": "SPLIT",
        "metadata": {"version": 3},
    }


def test_one_flag_by_override():
    _, body = ask(ALL + b"/lab_orders.stage", RAMP, OVERRIDE)
    assert (body["value"], body["reason"]) == ("ramp_down", "TARGETING_MATCH")


@pytest.mark.parametrize("change", [Allow(scope=LAB, ceiling=Stage.SHADOW), Panic(on=True)])
def test_the_value_is_what_routes_the_user(change):
    _, body = ask(ALL + b"/lab_orders.stage", RAMP, change)
    expected = snapshot(RAMP, change).stage("lab_orders", USER)
    assert (body["value"], body["variant"]) == (expected, expected)
    assert expected is not Stage.LIVE


def test_a_partition_has_its_flag_once_it_is_split():
    path = ALL + b"/compliance_tasks%3Aconsent_renewal.stage"
    assert ask(path)[0].status == 404
    found, body = ask(path, Ramp(scope=CONSENT, stage=Stage.LIVE, tenths=1000))
    assert (found.status, body["key"], body["value"]) == (200, CONSENT.flag, "live")


@pytest.mark.parametrize(
    "key", ["labs.stage", "lab_orders", "lab_order_events.stage", "", "a/b", "%FF", "%00"]
)
def test_an_unknown_flag_is_not_found(key):
    found, body = ask(ALL + b"/" + key.encode())
    assert found.status == 404
    assert body["errorCode"] == "FLAG_NOT_FOUND"
    assert body["key"] != "" or key == ""


def test_a_flag_that_is_missing_in_the_document_has_the_answer_that_routes():
    bare = Snapshot(FlagSet(flags={}, states={}), version=1, store="s")
    body = orjson.loads(answer(bare, USER, ALL + b"/lab_orders.stage", MINE, None).body)
    assert (body["value"], body["reason"]) == ("legacy", "DEFAULT")
    assert "variant" not in body


def test_all_flags_are_those_of_every_entity_and_nothing_about_others():
    found, body = ask(ALL, RAMP, OVERRIDE, Ramp(scope=CONSENT, stage=Stage.LIVE, tenths=10))
    assert found.status == 200
    keys = [flag["key"] for flag in body["flags"]]
    assert set(keys) == {Scope(entity=name).flag for name in flag_entities()} | {CONSENT.flag}
    assert len(keys) == len(set(keys))
    assert set(body) == {"flags", "metadata"}
    assert USER.sub.encode() not in found.body
    assert all(set(flag) == {"key", "value", "variant", "reason", "metadata"} for flag in body["flags"])  # fmt: skip


def test_an_unchanged_answer_is_304_without_a_body():
    found, _ = ask(ALL, RAMP)
    tag = header(found, b"etag")
    assert tag is not None
    for sent in (tag, b"W/" + tag, b'"other", ' + tag, b"*"):
        again, body = ask(ALL, RAMP, tag=sent)
        assert (again.status, body) == (304, None)
        assert header(again, b"etag") == tag
    assert ask(ALL, RAMP, tag=b'"other"')[0].status == 200


def test_the_tag_changes_with_user_version_panic_and_stage():
    different = [
        ask(ALL, RAMP),
        ask(ALL, RAMP, version=4),
        ask(ALL, RAMP, Panic(on=True)),
        ask(ALL, RAMP, OVERRIDE),
        ask(ALL, RAMP, body=b"{}", user=USER._replace(role="clinician")),
        ask(ALL, RAMP, body=b"{}", user=USER._replace(sub="somebody else")),
        ask(ALL, RAMP, body=b"{}", user=USER._replace(cohorts=frozenset({"a"}))),
    ]
    assert len({header(found, b"etag") for found, _ in different}) == len(different)
    assert header(ask(ALL, RAMP)[0], b"etag") == header(different[0][0], b"etag")


def test_no_cache_may_give_one_users_answer_to_another():
    found, _ = ask(ALL)
    assert header(found, b"cache-control") == b"private, no-cache"
    assert header(found, b"vary") == b"authorization"


@pytest.mark.parametrize("path", [ALL, ALL + b"/lab_orders.stage"])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "PARSE_ERROR"),
        (b"[]", 400, "PARSE_ERROR"),
        (b"null", 400, "PARSE_ERROR"),
        (b"{", 400, "PARSE_ERROR"),
        (b'{"a": 1, "a": 2}', 400, "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "x", "targetingKey": "y"}}', 400, "PARSE_ERROR"),
        (b"[" * 60_000, 400, "PARSE_ERROR"),
        (b"\xff", 400, "PARSE_ERROR"),
        (b'{"context": []}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "somebody else"}}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 5}}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": ["x"]}}', 400, "INVALID_CONTEXT"),
        (b" " * (LARGEST_BODY + 1), 413, "GENERAL"),
        (b"{}", 200, None),
        (b'{"context": {}}', 200, None),
        (b'{"context": {"targetingKey": ""}}', 200, None),
        (b'{"context": {"targetingKey": null}}', 200, None),
    ],
)
def test_the_body_is_checked_for_form_and_for_whom_it_speaks(path, body, status, code):
    found, said = ask(path, body=body)
    assert found.status == status
    assert said.get("errorCode") == code
    if code:
        assert said["errorDetails"]
        assert ("key" in said) == (path != ALL)
        assert b"somebody else" not in found.body


def test_claims_in_the_body_decide_nothing():
    by_role = SetOverride(
        scope=LAB, override=Override(by=By.ROLE, value="admin", stage=Stage.COMPLETE)
    )
    sent = orjson.dumps({"context": {"role": "admin", "cohorts": ["x"]}})
    _, body = ask(ALL + b"/lab_orders.stage", by_role, body=sent)
    assert body["value"] == "legacy"


@pytest.mark.parametrize("path", [b"/ofrep/v1/configuration", b"/ofrep/v1/evaluate/flag", b"/ofrep/"])  # fmt: skip
def test_other_paths_are_not_found(path):
    found, body = ask(path)
    assert (found.status, body["errorCode"]) == (404, "GENERAL")
