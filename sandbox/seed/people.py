"""The people whom tests, examples and the README sign in as. Ids and addresses never change.

Rights are in `app_metadata`, which the server alone writes: `app_role` and `partner_id` are what the project's row
security reads, `banyan_roles` are the operators' rights in Banyan's own control API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Person:
    """One sample user. The password is no secret: it opens synthetic data on loopback."""

    name: str
    id: UUID
    app_metadata: Mapping[str, object]
    full_name: str
    operator: str = ""
    """The operator role of people who have one: viewer, operator, approver or compliance."""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.password:
            object.__setattr__(self, "password", f"{self.name}-in-the-sandbox")

    @property
    def email(self) -> str:
        return f"{self.name}@sandbox.example"

    @property
    def app_role(self) -> str:
        return str(self.app_metadata.get("app_role", ""))


def _id(kind: int, number: int) -> UUID:
    return UUID(f"{kind:08x}-0000-4000-8000-{number:012x}")


PARTNER_A, PARTNER_B, PARTNER_C = (_id(0xBA, number) for number in (1, 2, 3))
PARTNERS = (PARTNER_A, PARTNER_B, PARTNER_C)


def _patient(name: str, number: int, full_name: str) -> Person:
    return Person(
        name=name, id=_id(1, number), full_name=full_name, app_metadata={"app_role": "patient"}
    )


def _staff(name: str, number: int, full_name: str, role: str) -> Person:
    return Person(
        name=name, id=_id(2, number), full_name=full_name, app_metadata={"app_role": role}
    )


def _partner(name: str, number: int, full_name: str, partner: UUID) -> Person:
    return Person(
        name=name,
        id=_id(3, number),
        full_name=full_name,
        app_metadata={"app_role": "partner", "partner_id": str(partner)},
    )


def _operator(role: str, number: int, full_name: str) -> Person:
    return Person(
        name=f"operator-{role}",
        id=_id(4, number),
        full_name=full_name,
        operator=role,
        app_metadata={"banyan_roles": sorted({"viewer", role})},
    )


PATIENTS = (
    _patient("patient", 1, "Ada Example"),
    _patient("patient-b", 2, "Zoë Nuñez-Åberg"),
    _patient("patient-c", 3, "نور الهدى"),
    _patient("patient-d", 4, 'O’Brien \\ "Bo" Smith, Jr.'),
)
CLINICIANS = (
    _staff("clinician", 1, "Dr Grace Placeholder", "clinician"),
    _staff("clinician-b", 2, "Dr Łukasz Przykład", "clinician"),
    _staff("clinician-c", 3, "Dr 見本 花子", "clinician"),
)
OFFICERS = (
    _staff("compliance", 11, "Connie Compliance", "compliance"),
    _staff("finance", 12, "Fin Ledger", "finance"),
    _staff("admin", 13, "Adi Min", "admin"),
)
PARTNER_USERS = (
    _partner("partner", 1, "Pat Pharmacy", PARTNER_A),
    _partner("partner-a2", 2, "Pim Pharmacy", PARTNER_A),
    _partner("partner-b", 3, "Quinn Apotheke", PARTNER_B),
    _partner("partner-c", 4, "Rika Kiosk", PARTNER_C),
)
OPERATORS = (
    _operator("viewer", 1, "Vi Ewer"),
    _operator("operator", 2, "Op Erator"),
    _operator("approver", 3, "App Rover"),
    _operator("compliance", 4, "Com Pliance"),
)
PEOPLE = (*PATIENTS, *CLINICIANS, *OFFICERS, *PARTNER_USERS, *OPERATORS)
BY_NAME = {person.name: person for person in PEOPLE}
