"""The real supabase-py, unchanged, against the stand-in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from postgrest import CountMethod
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, create_async_client
from supabase.lib.client_options import AsyncClientOptions
from supabase_auth.errors import AuthApiError

from sandbox.seed.people import BY_NAME
from tests.standin_server import Standin

pytestmark = pytest.mark.stack

NOBODY = "00000000-0000-4000-8000-000000000000"


Connect = Callable[..., Awaitable[AsyncClient]]


@pytest.fixture
async def connect(standin: Standin) -> AsyncIterator[Connect]:
    """Makes a client of its own for each call; their connections are closed behind the test."""
    async with AsyncExitStack() as stack:

        async def make(name: str | None = None, key: str | None = None) -> AsyncClient:
            session = await stack.enter_async_context(httpx.AsyncClient(timeout=20))
            options = AsyncClientOptions(
                auto_refresh_token=False, persist_session=False, httpx_client=session
            )
            client = await create_async_client(
                standin.url, key or standin.keys.publishable, options
            )
            if name is not None:
                await _sign_in(client, name)
            return client

        yield make


@pytest.fixture
async def clinician(connect: Connect) -> AsyncClient:
    return await connect("clinician")


@pytest.fixture
async def patient(connect: Connect) -> AsyncClient:
    return await connect("patient")


async def test_sign_in_user_and_sign_out(connect: Connect) -> None:
    client = await connect()
    session = await _sign_in(client, "patient")
    assert session.user.email == BY_NAME["patient"].email
    assert session.user.app_metadata["app_role"] == "patient"
    assert session.session.expires_in == 3600
    found = await client.auth.get_user()
    assert found is not None
    assert found.user.id == str(BY_NAME["patient"].id)
    await client.auth.sign_out()
    with pytest.raises(AuthApiError, match="Not Found"):
        await client.auth.refresh_session(session.session.refresh_token)


async def test_a_wrong_password_is_refused(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(AuthApiError) as refused:
        await client.auth.sign_in_with_password(
            {"email": BY_NAME["patient"].email, "password": "no"}
        )
    assert refused.value.code == "invalid_credentials"


async def test_refresh_rotates_and_reuse_is_refused(connect: Connect) -> None:
    client = await connect()
    first = await _sign_in(client, "patient")
    second = await client.auth.refresh_session()
    assert second.session is not None
    assert second.session.refresh_token != first.session.refresh_token
    with pytest.raises(AuthApiError, match="Already Used"):
        await client.auth.refresh_session(first.session.refresh_token)
    with pytest.raises(AuthApiError, match="Not Found"):
        await client.auth.refresh_session(second.session.refresh_token)


async def test_select_with_filters_order_range_and_count(clinician: AsyncClient) -> None:
    found = await (
        clinician.table("lab_orders")
        .select("id, order_number, status", count=CountMethod.exact)
        .in_("status", ["draft", "ordered", "resulted", 'odd "one", (1)'])
        .not_.is_("created_at", "null")
        .or_("priority.gte.1,and(vendor.is.null,price.is.null)")
        .order("order_number", desc=True, nullsfirst=False)
        .range(0, 4)
        .execute()
    )
    assert found.count is not None
    assert found.count > len(data(found)) == 5
    numbers = [row["order_number"] for row in data(found)]
    assert numbers == sorted(numbers, reverse=True)


async def test_embeds_single_and_maybe_single(clinician: AsyncClient) -> None:
    one = await (
        clinician.table("lab_orders")
        .select("id, submissions!inner(id, status), lab_order_events(event_type)")
        .order("order_number")
        .limit(1)
        .single()
        .execute()
    )
    assert set(data(one)["submissions"]) == {"id", "status"}
    assert data(one)["lab_order_events"]
    none = (
        await clinician.table("lab_orders").select("id").eq("id", NOBODY).maybe_single().execute()
    )
    assert none is None
    with pytest.raises(APIError) as many:
        await clinician.table("lab_orders").select("id").eq("id", NOBODY).single().execute()
    assert many.value.code == "PGRST116"


async def test_write_and_read_back(clinician: AsyncClient, patient: AsyncClient) -> None:
    submission = data(await patient.table("submissions").select("id").limit(1).execute())[0]["id"]
    plan = {"submission_id": submission, "title": "py", "storage_path": "py/a.pdf"}
    inserted = await clinician.table("action_plans").insert(plan).execute()
    (row,) = data(inserted)
    assert (row["title"], row["origin"], row["row_version"]) == ("py", "legacy", 1)
    updated = await (
        clinician.table("action_plans").update({"title": "py 2"}).eq("id", row["id"]).execute()
    )
    assert (data(updated)[0]["title"], data(updated)[0]["row_version"]) == ("py 2", 2)
    upserted = await (
        clinician.table("action_plans")
        .upsert({**plan, "title": "py 3"}, on_conflict="storage_bucket,storage_path")
        .execute()
    )
    assert [(each["id"], each["title"]) for each in data(upserted)] == [(row["id"], "py 3")]
    hidden = await patient.table("action_plans").select("id").eq("id", row["id"]).execute()
    assert data(hidden) == []
    deleted = await clinician.table("action_plans").delete().eq("id", row["id"]).execute()
    assert [each["id"] for each in data(deleted)] == [row["id"]]


async def test_row_security_differs_by_user(clinician: AsyncClient, patient: AsyncClient) -> None:
    own = await patient.table("submissions").select("user_id", count=CountMethod.exact).execute()
    every = (
        await clinician.table("submissions")
        .select("id", count=CountMethod.exact, head=True)
        .execute()
    )
    assert {row["user_id"] for row in data(own)} == {str(BY_NAME["patient"].id)}
    assert every.count is not None
    assert 0 < len(data(own)) < every.count


async def test_signed_out_is_anonymous(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(APIError) as refused:
        await client.table("submissions").select("id").execute()
    assert refused.value.code == "42501"


async def test_the_mirror_function_is_for_the_service_role(
    standin: Standin, connect: Connect, clinician: AsyncClient
) -> None:
    with pytest.raises(APIError) as refused:
        await clinician.rpc("banyan_mirror", {"items": []}).execute()
    assert refused.value.code == "42501"
    service = await connect(key=standin.keys.secret)
    assert (await service.rpc("banyan_mirror", {"items": []}).execute()).data == []
    old_key = await connect(key=standin.keys.service_role)
    assert (await old_key.rpc("banyan_mirror", {"items": []}).execute()).data == []


async def test_storage(standin: Standin, clinician: AsyncClient) -> None:
    bucket = clinician.storage.from_("action-plans")
    await bucket.upload("py/ä b.pdf", b"%PDF", {"content-type": "application/pdf"})
    with pytest.raises(StorageApiError):
        await bucket.upload("py/ä b.pdf", b"other", {"content-type": "application/pdf"})
    await bucket.upload(
        "py/ä b.pdf", b"%PDF 2", {"content-type": "application/pdf", "upsert": "true"}
    )
    assert await bucket.download("py/ä b.pdf") == b"%PDF 2"
    listed = await bucket.list("py")
    assert [(each["name"], each["metadata"]["size"]) for each in listed] == [("ä b.pdf", 6)]
    assert [each["name"] for each in await bucket.list()] == ["py"]
    link = await bucket.create_signed_url("py/ä b.pdf", 60)
    async with standin.client() as anybody:
        followed = await anybody.get(str(link["signedURL"]))
    assert (followed.status_code, followed.content) == (200, b"%PDF 2")
    assert [each["name"] for each in await bucket.remove(["py/ä b.pdf"])] == ["py/ä b.pdf"]
    with pytest.raises(StorageApiError):
        await bucket.download("py/ä b.pdf")


def data(answer: Any) -> Any:
    """The rows of an answer; the client types them as any JSON there is."""
    return answer.data


async def _sign_in(client: AsyncClient, name: str) -> Any:
    person = BY_NAME[name]
    return await client.auth.sign_in_with_password(
        {"email": person.email, "password": person.password}
    )
