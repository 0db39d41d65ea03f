"""Patient onboarding submissions: /v2/submissions."""

from routes.lifecycle import Fill, Lifecycle
from routes.problem import FieldError
from routes.resource import Resource
from routes.writes import Create, Writes

_PERSON = frozenset(
    {"given_name", "family_name", "birth_date", "sex", "email", "phone", "address", "guardian"}
)
_CONSENT = frozenset({"consent_status", "consent_granted_at", "consent_policy_version"})
_SAFEGUARDING = frozenset({"safeguarding_concern", "safeguarding_notes", "safeguarding_details"})

RESOURCES = (
    Resource(
        path="/submissions",
        entity="submissions",
        summary="Patient onboarding submissions",
        order="-created_at",
        staff_only=_SAFEGUARDING,
        writes=Writes(
            create=Create(
                required=("given_name", "family_name", "birth_date"),
                optional=(
                    "sex",
                    "email",
                    "phone",
                    "guardian",
                    "consent_granted_at",
                    "consent_policy_version",
                    "safeguarding_notes",
                    "submitted_at",
                ),
                defaults={
                    "status": "draft",
                    "address": {},
                    "consent_status": "pending",
                    "safeguarding_concern": False,
                    "safeguarding_details": {},
                    "answers": {},
                },
                fills={"patient_user_id": Fill.CALLER},
            ),
            change=_PERSON
            | _CONSENT
            | _SAFEGUARDING
            | {"status", "answers", "clinician_id", "submitted_at"},
        ),
        lifecycles=(
            Lifecycle(
                column="status",
                start=("draft", "submitted"),
                ways={
                    "draft": ("submitted", "withdrawn"),
                    "submitted": ("in_review", "withdrawn"),
                    "in_review": ("approved", "rejected", "withdrawn"),
                    "approved": (),
                    "rejected": (),
                    "withdrawn": (),
                },
                fills={"submitted": {"submitted_at": Fill.NOW}},
            ),
            Lifecycle(
                column="consent_status",
                start=("pending", "granted", "refused"),
                ways={
                    "pending": ("granted", "refused"),
                    "granted": ("revoked",),
                    "refused": ("granted",),
                    "revoked": ("granted",),
                },
                fills={"granted": {"consent_granted_at": Fill.NOW}},
            ),
        ),
        rules={
            "consent_time": FieldError(
                field="consent_granted_at", code="needed_for_a_granted_consent"
            )
        },
    ),
)
