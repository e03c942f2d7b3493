from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update

from app.kit import clock
from app.models import ApiKey, AuditEntry
from app.resources import Resources
from tests.factories import MerchantFixture

ORDERS = {"name": "订单系统", "scopes": ["read", "write"]}


def client(app: FastAPI, secret: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="https://t.invitree.cn",
        headers={"Authorization": f"Bearer {secret}"},
    )


async def make(api: httpx.AsyncClient, *scopes: str) -> dict[str, str]:
    answer = await api.post("/v1/api-keys", json={"name": "k", "scopes": list(scopes) or ["*"]})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


async def status_of(app: FastAPI, secret: str) -> int:
    async with client(app, secret) as other:
        return (await other.get("/v1/api-keys")).status_code


async def test_a_new_key_works_and_is_shown_once(api: httpx.AsyncClient, app: FastAPI) -> None:
    made = (await api.post("/v1/api-keys", json=ORDERS)).json()
    assert made["secret_key"].startswith("ivt_test_")
    assert made["last4"] == made["secret_key"][-4:]
    assert await status_of(app, made["secret_key"]) == 200
    listed = (await api.get("/v1/api-keys")).json()["data"]
    assert [key["name"] for key in listed] == ["订单系统", "default"]
    assert all("secret_key" not in key for key in listed)


async def test_the_table_holds_hashes_only(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    made = await make(api)
    async with resources.db.tenant(merchant.test_id) as session:
        row = (await session.execute(text("SELECT api_keys::text FROM api_keys WHERE name = 'k'"))).scalar_one()
    assert made["secret_key"] not in row
    assert made["secret_key"].encode().hex() not in row


async def test_a_test_key_makes_test_keys_and_a_live_key_live_ones(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient
) -> None:
    assert (await make(api))["secret_key"].startswith("ivt_test_")
    assert (await make(live_api))["secret_key"].startswith("ivt_live_")


@pytest.mark.parametrize("wrong", [{"scopes": []}, {"scopes": ["fly"]}, {"name": ""}, {"name": "x" * 81}, {"extra": 1}])
async def test_what_does_not_fit_is_refused(api: httpx.AsyncClient, wrong: dict[str, object]) -> None:
    assert (await api.post("/v1/api-keys", json=ORDERS | wrong)).status_code == 422


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        (["read"], "GET", "/v1/api-keys", 200),
        (["read"], "POST", "/v1/test-clock", 403),
        (["write"], "GET", "/v1/api-keys", 403),
        (["write"], "POST", "/v1/test-clock", 200),
        (["write"], "POST", "/v1/api-keys", 403),
        (["read", "write", "payouts"], "POST", "/v1/merchant/users", 403),
        (["admin"], "POST", "/v1/api-keys", 403),
    ],
)
async def test_a_key_may_do_what_its_scopes_say(
    api: httpx.AsyncClient, app: FastAPI, scopes: list[str], method: str, path: str, status: int
) -> None:
    made = await make(api, *scopes)
    async with client(app, made["secret_key"]) as other:
        answer = await other.request(method, path, json={"advance_seconds": 1} if method == "POST" else None)
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["code"] == "scope_missing"


async def test_a_key_gives_no_scope_that_it_lacks(api: httpx.AsyncClient, app: FastAPI) -> None:
    made = await make(api, "read", "write", "admin")
    async with client(app, made["secret_key"]) as other:
        assert (await other.post("/v1/api-keys", json=ORDERS)).status_code == 201
        for scope in ("payouts", "*"):
            refused = await other.post("/v1/api-keys", json=ORDERS | {"scopes": [scope]})
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        strongest = (await api.get("/v1/api-keys")).json()["data"][-1]
        assert (await other.post(f"/v1/api-keys/{strongest['id']}/rotate", json={})).status_code == 403


async def test_rotation_lets_both_keys_work_for_a_while(
    api: httpx.AsyncClient, app: FastAPI, resources: Resources, merchant: MerchantFixture
) -> None:
    old = await make(api, "read", "write")
    answer = await api.post(f"/v1/api-keys/{old['id']}/rotate", json={"expires_in_seconds": 3_600})
    new = answer.json()
    assert answer.status_code == 201, answer.text
    assert (new["replaces"], new["scopes"], new["name"]) == (old["id"], ["read", "write"], "k")
    assert await status_of(app, old["secret_key"]) == await status_of(app, new["secret_key"]) == 200
    async with resources.db.tenant(merchant.test_id) as session:
        ends_at = await session.scalar(select(ApiKey.expires_at).where(ApiKey.id == old["id"]))
        assert ends_at is not None
        assert timedelta(minutes=59) < ends_at - clock.utcnow() <= timedelta(hours=1)
        await session.execute(update(ApiKey).where(ApiKey.id == old["id"]).values(expires_at=clock.utcnow()))
    assert await status_of(app, old["secret_key"]) == 401
    assert await status_of(app, new["secret_key"]) == 200


async def test_rotation_does_not_prolong_a_key_that_ends_sooner(api: httpx.AsyncClient) -> None:
    old = await make(api)
    first = (await api.post(f"/v1/api-keys/{old['id']}/rotate", json={"expires_in_seconds": 60})).json()
    second = (await api.post(f"/v1/api-keys/{old['id']}/rotate", json={"expires_in_seconds": 86_400})).json()
    assert second["old_expires_at"] == first["old_expires_at"]


async def test_a_revoked_key_opens_nothing(api: httpx.AsyncClient, app: FastAPI) -> None:
    made = await make(api)
    assert (await api.delete(f"/v1/api-keys/{made['id']}")).status_code == 204
    assert await status_of(app, made["secret_key"]) == 401
    assert (await api.delete(f"/v1/api-keys/{made['id']}")).status_code == 404
    assert (await api.get("/v1/api-keys")).json()["data"][0]["revoked_at"] is not None


async def test_the_last_key_that_could_make_others_stays(api: httpx.AsyncClient) -> None:
    await make(api, "read", "write", "payouts")
    (default,) = (key for key in (await api.get("/v1/api-keys")).json()["data"] if key["name"] == "default")
    refused = await api.delete(f"/v1/api-keys/{default['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "last_api_key")
    await make(api, "write", "admin")
    assert (await api.delete(f"/v1/api-keys/{default['id']}")).status_code == 204


async def test_a_key_that_is_ending_does_not_count_as_another(api: httpx.AsyncClient, app: FastAPI) -> None:
    (default,) = (await api.get("/v1/api-keys")).json()["data"]
    new = (await api.post(f"/v1/api-keys/{default['id']}/rotate", json={})).json()
    async with client(app, new["secret_key"]) as other:
        assert (await other.delete(f"/v1/api-keys/{new['id']}")).json()["code"] == "last_api_key"
        assert (await other.delete(f"/v1/api-keys/{default['id']}")).status_code == 204


async def test_two_last_keys_revoked_at_once_leave_one(api: httpx.AsyncClient) -> None:
    await make(api)
    keys = [key["id"] for key in (await api.get("/v1/api-keys")).json()["data"]]
    answers = await asyncio.gather(*(api.delete(f"/v1/api-keys/{key}") for key in keys))
    # The loser either meets the rule, or finds its own key revoked by the winner.
    assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 409])


async def test_what_happens_to_keys_and_users_is_on_record(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    (default,) = (await api.get("/v1/api-keys")).json()["data"]
    made = await make(api)
    await api.post("/v1/merchant/users", json={"name": "王会计", "role": "finance"})
    await api.delete(f"/v1/api-keys/{made['id']}")
    async with resources.db.tenant(merchant.test_id) as session:
        rows = (await session.scalars(select(AuditEntry).order_by(AuditEntry.at))).all()
    assert [row.action for row in rows] == ["api_key.created", "merchant_user.created", "api_key.revoked"]
    assert {row.actor for row in rows} == {default["id"]}
    assert "王会计" not in str([row.detail for row in rows])


async def test_users_are_listed_newest_first(api: httpx.AsyncClient) -> None:
    for name, role in (("李店主", "owner"), ("王会计", "finance")):
        made = await api.post("/v1/merchant/users", json={"name": name, "role": role})
        assert (made.status_code, made.json()["object"]) == (201, "merchant_user")
    listed = (await api.get("/v1/merchant/users")).json()["data"]
    assert [(user["name"], user["role"]) for user in listed] == [("王会计", "finance"), ("李店主", "owner")]
    assert (await api.post("/v1/merchant/users", json={"name": "x", "role": "king"})).status_code == 422
