"""`User`: what is made of a verified token once, so that no request has to make it again."""

from typing import Final

from gateway.plan import Planned
from runtime.accessrecord import NONE, role_word
from runtime.flagsnapshot import FlagUser
from runtime.identity import Identity
from runtime.jws import TokenRefused
from runtime.ratelimit import Budget

_CARE: Final = frozenset({"", "patient", "clinician"})


class User:
    """A verified user with their own token, which is what both upstreams judge by: no service key, no identity header."""

    __slots__ = (
        "budget",
        "budgets_since",
        "by_home",
        "flags",
        "identity",
        "operator",
        "partner_budget",
        "plans",
        "record",
        "shadow_record",
        "tag",
        "token",
        "wire",
    )

    def __init__(self, identity: Identity, token: bytes) -> None:
        self.identity = identity
        self.token = token
        self.flags = FlagUser(
            sub=identity.sub,
            role=identity.app_role,
            partner_id=identity.partner_id,
            cohorts=identity.cohorts,
        )
        """The caller as flags know one: verified claims alone."""
        self.by_home = identity.app_role == "clinician"
        """Rows that are written at somebody's side are written at this one's own (decisions.md 16)."""
        self.operator = "operator" in identity.operator_roles
        # Patients and those who treat them; everybody else runs the business.
        purpose = "treatment" if identity.app_role in _CARE else "operations"
        role = role_word(identity.app_role) if identity.app_role else NONE
        self.record = f'"sub":"{identity.sub}","role":"{role}","purpose":"{purpose}"'
        """The caller in the PHI access record."""
        self.shadow_record = f'"sub":"{identity.sub}","role":"{role}","purpose":"shadow"'
        """The same where the other side is asked behind a read of theirs."""
        self.budget: Budget | None = None
        """What gateway.limits lets this user ask, once it was asked for."""
        self.partner_budget: Budget | None = None
        self.budgets_since = 0
        """As of which generation of limits."""
        self.tag = ""
        """What stands for the user in pins, once it was asked for."""
        self.plans: dict[str, Planned] = {}
        """What gateway.plans remembers, by the resource's path."""
        self.wire = (
            b"\r\nauthorization: Bearer %b\r\naccept: application/json\r\naccept-encoding: identity"
            b"\r\nuser-agent: banyan\r\nx-correlation-id: " % token
        )
        """The headers that every upstream gets, up to the value of the last one."""


def user_of(identity: Identity, token: bytes) -> User:
    """For runtime.identity.Verifier. No route takes users without an account: raises TokenRefused for one."""
    if identity.is_anonymous:
        raise TokenRefused("anonymous")
    return User(identity, token)
