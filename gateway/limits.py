"""Who may ask how often: per user, and per partner for all of its users together; each process counts by itself."""

from gateway.metrics import Metrics
from gateway.user import User
from routes.refused import RateLimited
from runtime.ratelimit import RateLimit
from runtime.settings import Settings

BURST_SECONDS = 2.0


class Limits:
    """Asked once per request of a known user."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        user, partner = settings.user_requests_per_second, settings.partner_requests_per_second
        self._user = RateLimit(per_second=user, burst=max(1.0, user * BURST_SECONDS))
        self._partner = RateLimit(per_second=partner, burst=max(1.0, partner * BURST_SECONDS))
        self._metrics = metrics

    def take(self, user: User) -> None:
        """Raises RateLimited."""
        identity = user.identity
        wait, scope = self._user.take(identity.sub), "user"
        if not wait and identity.partner_id:
            wait, scope = self._partner.take(identity.partner_id), "partner"
        if wait:
            self._metrics.rate_limited.inc(scope)
            raise RateLimited(wait)
