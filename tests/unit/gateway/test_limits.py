"""Limits per user and partner: one bucket each, however many tokens, and none that is forgotten while it is in use."""

import pytest

from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.user import User
from routes.refused import RateLimited
from runtime.identity import Identity
from runtime.ratelimit import RateLimit
from runtime.settings import load

pytestmark = pytest.mark.unit


def user(number: int, partner: str = "") -> User:
    """A new token of that user."""
    sub = f"{number:08}-0000-4000-8000-000000000000"
    return User(Identity(sub=sub, app_role="partner", partner_id=partner), b"t")


def limits(users: int, partners: int) -> Limits:
    """As many requests as that, then none for a long time."""
    made = Limits(load(profile="sandbox"), Metrics())
    made._user = RateLimit(per_second=1e-6, burst=users, most_keys=100)
    made._partner = RateLimit(per_second=1e-6, burst=partners, most_keys=100)
    return made


def passes(limit: Limits, asker: User) -> bool:
    try:
        limit.take(asker)
    except RateLimited:
        return False
    return True


def test_all_tokens_of_a_user_share_one_bucket() -> None:
    limit = limits(users=3, partners=1000)
    tokens = [user(1), user(1)]
    assert [passes(limit, tokens[n % 2]) for n in range(4)] == [True, True, True, False]
    assert passes(limit, user(2))


def test_all_users_of_a_partner_share_one_bucket() -> None:
    limit = limits(users=1000, partners=3)
    askers = [user(1, "p"), user(2, "p")]
    assert [passes(limit, askers[n % 2]) for n in range(4)] == [True, True, True, False]
    assert passes(limit, user(1, "q"))


def test_whoever_is_active_is_not_forgotten_and_has_one_bucket_for_a_new_token() -> None:
    limit, busy = limits(users=1, partners=1000), user(1)
    assert passes(limit, busy)
    for number in range(2, 1000):
        assert passes(limit, user(number))
        if number % 40 == 0:
            assert not passes(limit, busy)
    assert not passes(limit, user(1))
