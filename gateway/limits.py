"""Who may ask how often: per user, and per partner for all of its users together; each process counts by itself."""

from typing import Final

from gateway.metrics import Metrics
from gateway.user import User
from routes.refused import RateLimited
from runtime.ratelimit import Budget, RateLimit
from runtime.settings import Settings

BURST_SECONDS: Final = 2.0


class Limits:
    """Asked once per request of a known user."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        user, partner = settings.user_requests_per_second, settings.partner_requests_per_second
        self._user = RateLimit(per_second=user, burst=max(1.0, user * BURST_SECONDS))
        self._partner = RateLimit(per_second=partner, burst=max(1.0, partner * BURST_SECONDS))
        self._metrics = metrics

    def take(self, user: User) -> None:
        """Raises RateLimited."""
        own = user.budget
        if own is None or user.budgets_since != self._user.generation + self._partner.generation:
            own = self._find(user)
        wait = own.take()
        if wait:
            self._refuse("user", wait)
        shared = user.partner_budget
        if shared is not None:
            wait = shared.take()
            if wait:
                self._refuse("partner", wait)

    def _find(self, user: User) -> Budget:
        """Once per token and generation; a user's tokens share one, and so do a partner's users."""
        identity = user.identity
        user.budget = own = self._user.of(identity.sub)
        if identity.partner_id:
            user.partner_budget = self._partner.of(identity.partner_id)
        user.budgets_since = self._user.generation + self._partner.generation
        return own

    def _refuse(self, scope: str, wait: float) -> None:
        self._metrics.rate_limited.inc(scope)
        raise RateLimited(wait)
