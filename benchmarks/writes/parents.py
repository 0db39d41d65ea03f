"""What new rows refer to, asked of the gateway that they are written through."""

from collections.abc import Mapping

from benchmarks.writes.caller import Ask, Caller
from benchmarks.writes.kinds import Parents

_PATIENCE_SECONDS = 60.0


async def parents_of(edge: Caller, users: Mapping[str, str]) -> Parents:
    """A seeded submission, a new one of the patient, and an order of the clinician; `users` by role."""
    submission = await _first(edge, "/submissions", users["clinician"])
    body = {"submission_id": submission, "test_code": "HBA1C"}
    ask = Ask(method="POST", path="/lab-orders", user=users["clinician"], body=body)
    order = await edge.insist(ask, seconds=_PATIENCE_SECONDS)
    born = {"given_name": "A", "family_name": "B", "birth_date": "1990-01-02"}
    ask = Ask(method="POST", path="/submissions", user=users["patient"], body=born)
    own = await edge.insist(ask, seconds=_PATIENCE_SECONDS)
    return Parents(
        submission=submission,
        own_submission=own.response.json()["id"],
        order=order.response.json()["id"],
    )


async def _first(edge: Caller, path: str, user: str) -> str:
    ask = Ask(method="GET", path=f"{path}?limit=1", user=user)
    said = await edge.insist(ask, seconds=_PATIENCE_SECONDS)
    return str(said.response.json()["items"][0]["id"])
