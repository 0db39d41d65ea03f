"""What operators send to the control API, checked, and the change that it asks for. Pure.

Unknown members are refused: a misspelt `aproval` must not become a ramp without one.
"""

import re
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catalog.stage import Stage
from gateway.control_problem import BadBody
from routes.problem import FieldError
from runtime.flagchange import (
    Allow,
    Change,
    ChangeRefused,
    Ramp,
    SetOverride,
    UnsetOverride,
    tenths_of,
)
from runtime.flagrule import By, Override
from runtime.flagset import Scope, scope_of
from runtime.revocations import Kind

LARGEST_BODY = 64 * 1024

BodyType = TypeVar("BodyType", bound=BaseModel)

Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
_USER_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.ASCII)
UserId = Annotated[str, Field(pattern=_USER_ID.pattern, description="A token's sub")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]


class ReasonBody(BaseModel):
    """Only why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Reason = ""


class RevokeBody(ReasonBody):
    """This user, session or token is let in no more."""

    kind: Kind
    value: Word

    @model_validator(mode="after")
    def _a_user_is_a_uuid(self) -> "RevokeBody":
        if self.kind is Kind.SUB and not _USER_ID.fullmatch(self.value):
            raise ValueError("expected a uuid")
        return self


class Body(ReasonBody):
    """What every change of flags may say about itself."""

    approval: UUID | None = None


class PanicBody(Body):
    """Only why."""


class _Scoped(Body):
    partition: str = ""


class RampBody(_Scoped):
    """At least `stage` for `percent` of the users."""

    kind: Literal["ramp"] = "ramp"
    stage: Stage
    percent: float = Field(ge=0, le=100, allow_inf_nan=False)

    def change(self, scope: Scope) -> Change:
        return Ramp(scope=scope, stage=self.stage, tenths=tenths_of(self.percent))


class _Named(_Scoped):
    """Exactly one of four."""

    user: UserId | None = None
    cohort: Word | None = None
    partner: Word | None = None
    role: Word | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "_Named":
        if len(self._given()) != 1:
            raise ValueError("exactly one of user, cohort, partner, role")
        return self

    def _given(self) -> list[tuple[By, str]]:
        found = [(by, getattr(self, by)) for by in By]
        return [(by, value) for by, value in found if value is not None]

    @property
    def named(self) -> tuple[By, str]:
        return self._given()[0]


class OverrideBody(_Named):
    """This one gets `stage`."""

    kind: Literal["set"] = "set"
    stage: Stage

    def change(self, scope: Scope) -> Change:
        by, value = self.named
        override = Override(by=by, value=value, stage=self.stage)
        return SetOverride(scope=scope, override=override)


class UnsetBody(_Named):
    """This one has no override any more."""

    kind: Literal["unset"] = "unset"

    def change(self, scope: Scope) -> Change:
        by, value = self.named
        return UnsetOverride(scope=scope, by=by, value=value)


class AllowBody(_Scoped):
    """What the phases allow; what is left out stays."""

    kind: Literal["allow"] = "allow"
    floor: Stage | None = None
    ceiling: Stage | None = None
    backfilled: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> "AllowBody":
        if self.floor is None and self.ceiling is None and self.backfilled is None:
            raise ValueError("at least one of floor, ceiling, backfilled")
        return self

    def change(self, scope: Scope) -> Change:
        return Allow(
            scope=scope, floor=self.floor, ceiling=self.ceiling, backfilled=self.backfilled
        )


ChangeBody = RampBody | OverrideBody | UnsetBody | AllowBody


class ApprovalBody(BaseModel):
    """The change that an approver agrees to, as the operator will ask for it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    entity: str
    change: Annotated[ChangeBody, Field(discriminator="kind")]


def parse(model: type[BodyType], raw: bytes) -> BodyType:
    """The body, or BadBody with a field and a word for each thing that is wrong."""
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise BadBody(*(_field_error(problem) for problem in error.errors())) from None


def _field_error(problem: Any) -> FieldError:
    """Pydantic's message would repeat the input; its location and type do not."""
    where = ".".join(str(part) for part in problem["loc"]) or "body"
    word = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["type"]
    return FieldError(field=where[:100], code=word.replace(" ", "_"))


def entity_named(text: str) -> str:
    """lab-orders is lab_orders."""
    return text.replace("-", "_")


def scope_to_change(entity: str, partition: str) -> Scope:
    """The scope of a change. Raises UnknownScope, or ChangeRefused for an entity that follows another one's flag."""
    name = entity_named(entity)
    scope = scope_of(name, partition)
    if scope.entity != name:
        raise ChangeRefused(
            "follows_another",
            f"{name} follows {scope.entity}, as one user must never see two sides of one thing:"
            f" change {scope.entity}",
        )
    return scope
