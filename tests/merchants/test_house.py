"""The house loop: merchants invite merchants, and both sides get days through the engine that serves everybody."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from app.kit import clock
from app.merchants import house
from app.models import Campaign, MembershipGrant, Merchant, MerchantUser, Participant, PhoneCode, Reward
from app.resources import Resources
from tests.factories import MerchantFixture, client_with, make_campaign, make_participant

DAY = timedelta(days=1)


def new_phone() -> str:
    return f"139{random.randrange(10**8):08d}"


async def register(http: httpx.AsyncClient, invite_code: str | None = None, **given: Any) -> dict[str, Any]:
    body = {"name": "山间咖啡", **({} if "email" in given else {"phone": new_phone()}), **given}
    answer = await http.post("/v1/merchants", json=body | ({"invite_code": invite_code} if invite_code else {}))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def verify(app: FastAPI, made: dict[str, Any], *, key: str = "secret_key") -> httpx.Response:
    async with client_with(app, made[key]) as api:
        return await api.post("/v1/merchant/verify", json={"code": made["sandbox_code"]})


async def own(app: FastAPI, made: dict[str, Any], *, key: str = "secret_key") -> dict[str, Any]:
    async with client_with(app, made[key]) as api:
        shown: dict[str, Any] = (await api.get("/v1/merchant")).json()
    return shown


def days_left(merchant: dict[str, Any]) -> float:
    ends_at = datetime.fromisoformat(merchant["membership"]["ends_at"])
    return round((ends_at - clock.utcnow()) / DAY, 2)


async def test_registration_gives_two_tenants_keys_owners_a_code_and_thirty_days(
    http: httpx.AsyncClient, app: FastAPI, resources: Resources
) -> None:
    made = await register(http, name="清茶书社")
    assert made["secret_key"].startswith("ivt_live_")
    assert made["test_secret_key"].startswith("ivt_test_")
    assert len(made["sandbox_code"]) == 6
    live, test = await own(app, made), await own(app, made, key="test_secret_key")
    assert (live["livemode"], test["livemode"]) == (True, False)
    assert (live["twin_id"], test["twin_id"]) == (test["id"], live["id"])
    shared = ("name", "plan", "platform_fee_bps", "membership", "verified", "invite_code", "invite_url")
    assert {name: live[name] for name in shared} == {name: test[name] for name in shared}
    assert (live["plan"], live["platform_fee_bps"], live["verified"]) == ("free", 100, False)
    assert live["invite_url"] == f"https://t.invitree.cn/i/{live['invite_code']}"
    assert live["membership"]["active"] is True
    assert days_left(live) == 30
    async with resources.db.system() as session:
        owners = select(MerchantUser.role).where(MerchantUser.merchant_id.in_([live["id"], test["id"]]))
        assert list(await session.scalars(owners)) == ["owner", "owner"]


async def test_both_merchants_get_thirty_days_once_the_new_one_is_verified(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    first = await register(http)
    second = await register(http, first["invite_code"])
    assert [days_left(await own(app, made)) for made in (first, second)] == [30, 30]
    answer = await verify(app, second)
    assert (answer.status_code, answer.json()["verified"]) == (200, True)
    assert [days_left(await own(app, made)) for made in (first, second)] == [60, 60]


async def test_a_code_proves_the_merchant_by_either_key_and_verifying_again_gives_nothing_more(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    first = await register(http)
    second = await register(http, first["invite_code"].upper())
    for key in ("test_secret_key", "secret_key", "test_secret_key"):
        assert (await verify(app, second, key=key)).status_code == 200
    assert days_left(await own(app, first)) == 60
    assert (await own(app, second))["verified"] is True


async def test_verifications_at_once_grant_once(http: httpx.AsyncClient, app: FastAPI, resources: Resources) -> None:
    first = await register(http)
    second = await register(http, first["invite_code"])
    answers = await asyncio.gather(*(verify(app, second) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert [days_left(await own(app, made)) for made in (first, second)] == [60, 60]
    async with resources.db.system() as session:
        mine = select(Participant.id).where(Participant.invite_code == second["invite_code"])
        rewards = list(await session.scalars(select(Reward.id).where(Reward.invitee_id.in_(mine))))
        granted = select(func.count()).where(MembershipGrant.source_key.in_(rewards))
        assert (len(rewards), await session.scalar(granted)) == (2, 2)


async def test_many_invited_at_once_each_count_once(http: httpx.AsyncClient, app: FastAPI) -> None:
    first = await register(http)
    invited = await asyncio.gather(*(register(http, first["invite_code"]) for _ in range(5)))
    answers = await asyncio.gather(*(verify(app, made) for made in invited))
    assert {answer.status_code for answer in answers} == {200}
    assert days_left(await own(app, first)) == 30 + 5 * 30


async def test_the_inviter_earns_up_to_a_year_and_the_invited_get_theirs_all_the_same(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    first = await register(http)
    last = first
    for _ in range(14):
        last = await register(http, first["invite_code"])
        await verify(app, last)
    assert days_left(await own(app, first)) == 30 + 12 * 30
    assert days_left(await own(app, last)) == 60


async def test_a_phone_or_mail_has_one_merchant_however_it_is_written(http: httpx.AsyncClient) -> None:
    phone, email = new_phone(), f"li{new_phone()}@example.com"
    await register(http, phone=phone)
    await register(http, email=email)
    for again in ({"phone": f"+86 {phone[:3]} {phone[3:]}"}, {"email": email.upper()}):
        refused = await http.post("/v1/merchants", json={"name": "x"} | again)
        assert (refused.status_code, refused.json()["code"]) == (409, "merchant_exists")


async def test_of_two_who_register_one_phone_at_once_one_gets_it(http: httpx.AsyncClient, resources: Resources) -> None:
    body = {"name": "山间咖啡", "phone": new_phone()}
    answers = await asyncio.gather(*(http.post("/v1/merchants", json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"invite_code": "zzzzzzzz"}, "invite_code_unknown"),
        ({"invite_code": "O0"}, "invite_code_unknown"),
        ({"phone": "12345"}, "phone_invalid"),
        ({"phone": None}, "validation_failed"),
        ({"email": "li@example.com"}, "validation_failed"),
        ({"phone": None, "email": "not mail"}, "validation_failed"),
        ({"phone": "li@example.com"}, "validation_failed"),
        ({"name": " "}, "validation_failed"),
    ],
)
async def test_a_registration_that_does_not_fit_leaves_nothing(
    http: httpx.AsyncClient, resources: Resources, wrong: dict[str, Any], code: str
) -> None:
    body = {"name": "山间咖啡", "phone": new_phone()} | wrong
    refused = await http.post("/v1/merchants", json={name: value for name, value in body.items() if value is not None})
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    if code == "invite_code_unknown":
        assert (await http.post("/v1/merchants", json=body | {"invite_code": None})).status_code == 201


async def test_a_code_of_somebody_elses_campaign_is_unknown_here(
    http: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    async with resources.db.tenant(merchant.live_id) as session:
        promoter = await make_participant(session, await make_campaign(session, merchant.live_id))
    body = {"name": "x", "phone": new_phone(), "invite_code": promoter.invite_code}
    refused = await http.post("/v1/merchants", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invite_code_unknown")


async def test_a_repeated_registration_shows_its_answer_without_secrets(http: httpx.AsyncClient) -> None:
    body = {"name": "山间咖啡", "phone": new_phone()}
    headers = {"Idempotency-Key": f"register-{body['phone']}"}
    first = await http.post("/v1/merchants", json=body, headers=headers)
    second = await http.post("/v1/merchants", json=body, headers=headers)
    hidden = {"secret_key": None, "test_secret_key": None, "sandbox_code": None}
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json() | hidden
    other = await http.post("/v1/merchants", json=body | {"name": "x"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_wrong_codes_run_out_and_a_new_one_helps(
    http: httpx.AsyncClient, app: FastAPI, resources: Resources
) -> None:
    made = await register(http)
    wrong = f"{(int(made['sandbox_code']) + 1) % 10**6:06d}"
    async with client_with(app, made["secret_key"]) as api:
        codes = [(await api.post("/v1/merchant/verify", json={"code": wrong})).json()["code"] for _ in range(6)]
        assert codes == ["code_invalid"] * 5 + ["code_attempts_exceeded"]
        soon = await api.post("/v1/merchant/verification-codes")
        assert (soon.status_code, soon.json()["code"], soon.headers["retry-after"]) == (
            429,
            "code_resend_too_soon",
            "60",
        )
        await pass_a_minute(resources, made["id"])
        sent = (await api.post("/v1/merchant/verification-codes")).json()
        assert sent["sent_to"].startswith("139****")
        assert (await api.post("/v1/merchant/verify", json={"code": sent["sandbox_code"]})).status_code == 200
        done = await api.post("/v1/merchant/verification-codes")
        assert (done.status_code, done.json()["code"]) == (409, "merchant_verified")


async def pass_a_minute(resources: Resources, merchant_id: str) -> None:
    async with resources.db.system() as session:
        mine = update(PhoneCode).where(PhoneCode.merchant_id == merchant_id)
        await session.execute(mine.values(sent_at=PhoneCode.sent_at - timedelta(minutes=1)))


async def test_the_house_is_made_once_however_many_ask(resources: Resources) -> None:
    async def ensure() -> str:
        async with resources.db.system() as session:
            return await house.ensure(session, now=clock.utcnow())

    assert len(set(await asyncio.gather(*(ensure() for _ in range(5))))) == 1
    async with resources.db.system() as session:
        houses = select(Merchant.livemode, Campaign.name, Campaign.status).join(
            Campaign, Campaign.merchant_id == Merchant.id
        )
        found = (await session.execute(houses.where(Merchant.is_house).order_by(Merchant.livemode))).all()
    assert [tuple(row) for row in found] == [(False, "商户互邀", "active"), (True, "商户互邀", "active")]
