"""The seven domain services that take over."""

from enum import StrEnum


class Service(StrEnum):
    """A service's name: its package under services/, its PostgreSQL schema, its audience in internal tokens."""

    INTAKE = "intake"
    SCHEDULING = "scheduling"
    DIAGNOSTICS = "diagnostics"
    CARE_PLANS = "care_plans"
    COMPLIANCE = "compliance"
    PARTNER_OPS = "partner_ops"
    FINANCE = "finance"

    @property
    def label(self) -> str:
        """As the requirements call it."""
        return _LABELS[self]


_LABELS = {
    Service.INTAKE: "Patient Intake Service",
    Service.SCHEDULING: "Scheduling Service",
    Service.DIAGNOSTICS: "Diagnostics Service",
    Service.CARE_PLANS: "Care Plan Service",
    Service.COMPLIANCE: "Compliance Service",
    Service.PARTNER_OPS: "Partner Operations Service",
    Service.FINANCE: "Finance",
}
