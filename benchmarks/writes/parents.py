"""What new rows refer to, asked of the gateway that they are written through."""

from benchmarks.writes.caller import Ask, Caller
from benchmarks.writes.kinds import Parents

_PATIENCE_SECONDS = 60.0


async def parents_of(edge: Caller) -> Parents:
    """Seeded submissions, and an order of this caller's own."""
    submission = await _first(edge, "/submissions", "clinician")
    body = {"submission_id": submission, "test_code": "HBA1C"}
    ask = Ask(method="POST", path="/lab-orders", user="clinician", body=body)
    order = await edge.insist(ask, seconds=_PATIENCE_SECONDS)
    return Parents(
        submission=submission,
        own_submission=await _first(edge, "/submissions", "patient"),
        order=order.response.json()["id"],
    )


async def _first(edge: Caller, path: str, user: str) -> str:
    ask = Ask(method="GET", path=f"{path}?limit=1", user=user)
    said = await edge.insist(ask, seconds=_PATIENCE_SECONDS)
    return str(said.response.json()["items"][0]["id"])
