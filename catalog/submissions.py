"""Patient onboarding: demographics, guardian, consent, safeguarding."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Merge, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

STATUS = {
    "draft": "draft",
    "submitted": "submitted",
    "in_review": "in_review",
    "approved": "approved",
    "rejected": "rejected",
    "withdrawn": "withdrawn",
}
SEX = {"female": "female", "male": "male", "other": "other", "unknown": "unknown"}
CONSENT = {"pending": "pending", "given": "granted", "refused": "refused", "withdrawn": "revoked"}

ASSET = Asset(
    source="public.submissions",
    service=Service.INTAKE,
    target="submission",
    key=("id",),
    subject="id",
    wave=Wave.THIRD,
    moves=Move.BUNDLE,
    live=Live.CDC,
    note="Bulk backfill via `db-migrator` job generating QuestionnaireResponse bundles. Live dual-write through ingestion service; FHIR bundles posted to FHIR server using `fhir-sync` tool.",
    fhir=("Patient", "RelatedPerson", "Consent", "QuestionnaireResponse"),
    columns=(
        Column(source="id", target="id", type=Type.UUID, filter=True, sort=True),
        Column(
            source="user_id", target="patient_user_id", type=Type.UUID, nullable=True, filter=True
        ),
        Column(
            source="status",
            target="status",
            type=Type.ENUM,
            values=STATUS,
            filter=True,
            low_entropy=True,
        ),
        Column(source="first_name", target="given_name", type=Type.TEXT),
        Column(source="last_name", target="family_name", type=Type.TEXT),
        Column(source="date_of_birth", target="birth_date", type=Type.DATE, low_entropy=True),
        Column(
            source="sex", target="sex", type=Type.ENUM, values=SEX, nullable=True, low_entropy=True
        ),
        Column(source="email", target="email", type=Type.TEXT, nullable=True),
        Column(source="phone", target="phone", type=Type.TEXT, nullable=True),
        Column(source="address", target="address", type=Type.JSONB),
        Merge(
            sources=("guardian_name", "guardian_relationship", "guardian_phone", "guardian_email"),
            parts=("name", "relationship", "phone", "email"),
            target="guardian",
        ),
        Column(
            source="consent_status",
            target="consent_status",
            type=Type.ENUM,
            values=CONSENT,
            filter=True,
            low_entropy=True,
        ),
        Column(
            source="consent_given_at",
            target="consent_granted_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
        ),
        Column(
            source="consent_version", target="consent_policy_version", type=Type.TEXT, nullable=True
        ),
        Column(
            source="safeguarding_flag",
            target="safeguarding_concern",
            type=Type.BOOLEAN,
            filter=True,
            low_entropy=True,
        ),
        Column(
            source="safeguarding_notes", target="safeguarding_notes", type=Type.TEXT, nullable=True
        ),
        Column(source="safeguarding", target="safeguarding_details", type=Type.JSONB),
        Column(source="answers", target="answers", type=Type.JSONB),
        Column(
            source="assigned_clinician_id",
            target="clinician_id",
            type=Type.UUID,
            nullable=True,
            filter=True,
        ),
        Column(
            source="submitted_at",
            target="submitted_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        CREATED_AT,
        UPDATED_AT,
    ),
)
