"""The settings of shadow reads (docs/shadow.md), a part of `runtime.settings.Settings`."""

from pydantic import Field
from pydantic_settings import BaseSettings


class ShadowSettings(BaseSettings):
    """Everything has a default that costs callers nothing."""

    shadow_share: float = Field(
        1.0, ge=0, le=1, description="Share of the reads at a compared stage that are compared"
    )
    shadow_noise_share: float = Field(
        0.002, ge=0, le=1, description="Share of the compared reads of which legacy is asked twice"
    )
    shadow_deadline_seconds: float = Field(
        2.0, gt=0, description="Total time of one shadow read, if READ_DEADLINE_SECONDS is not less"
    )
    shadow_in_flight: int = Field(
        256, ge=1, le=256, description="Shadow reads at once per process; what comes beyond is shed"
    )
    shadow_connections: int = Field(
        20, ge=1, description="Connections per upstream and process for shadow reads alone"
    )
    shadow_legacy_requests_per_second: float = Field(
        50.0, gt=0, description="Requests to Supabase per process, of its budget for shadow reads"
    )
    shadow_lag_seconds: float = Field(
        5.0, gt=0, description="How far one side may be behind the other before it differs"
    )
    shadow_threshold: float = Field(
        0.001, gt=0, lt=1, description="Mismatch rate per field above which reads are not at parity"
    )
