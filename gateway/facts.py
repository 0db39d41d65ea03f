"""What becomes known about one request on its way, for its log line and its metrics."""

from dataclasses import dataclass

import structlog

from gateway.metrics import Metrics

log = structlog.get_logger("access")


@dataclass(kw_only=True)
class Facts:
    """Filled in by the pipeline. Nothing here may be patient data: patterns, words and numbers only."""

    correlation_id: str
    client_id_rejected: bool
    method: str
    source_ip: str
    route: str = "none"
    entity: str = ""
    sub: str = "anonymous"
    role: str = ""
    stage: str = ""
    side: str = "none"
    flags: int = 0
    code: str = ""

    def record(self, status: int, seconds: float, metrics: Metrics) -> None:
        """The one access line of a request, and its counts."""
        metrics.requests.labels(
            self.route, self.method, self.side, self.stage, f"{status // 100}xx"
        ).inc()
        metrics.duration.labels(self.route, self.side).observe(seconds)
        log.info(
            "request",
            correlation_id=self.correlation_id,
            route=self.route,
            method=self.method,
            status=status,
            entity=self.entity,
            sub=self.sub,
            role=self.role,
            stage=self.stage,
            side=self.side,
            flags=self.flags,
            source_ip=self.source_ip,
            duration_ms=round(seconds * 1000, 3),
            **({"code": self.code} if self.code else {}),
            **({"client_id_rejected": True} if self.client_id_rejected else {}),
        )
