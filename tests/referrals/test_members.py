from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock
from app.kit.errors import Conflict
from app.models import Member
from app.referrals import members
from app.referrals.identity import MemberIdentity, keys_of
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.invites import new_phone


async def meet(session: AsyncSession, merchant: MerchantFixture, **identity: Any) -> tuple[Member, bool]:
    return await meet_at(session, merchant.test_id, MemberIdentity(**identity))


async def meet_at(session: AsyncSession, merchant_id: str, identity: MemberIdentity) -> tuple[Member, bool]:
    """As somebody who signs up is met, without locks: the member, and whether it is new."""
    own: dict[str, Any] = {"merchant_id": merchant_id, "keys": keys_of(identity)}
    known = await members.find(session, **own)
    found = await members.settle(session, **own, identity=identity, known=known, now=clock.utcnow())
    return found.member, found.created


async def test_each_identifier_finds_the_same_member(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    phone = new_phone()
    known, created = await meet(tenant, merchant, external_id="u-1", phone=phone, openid="o-1", unionid="n-1")
    assert created
    for identity in ({"external_id": "u-1"}, {"phone": phone}, {"openid": "o-1"}, {"unionid": "n-1"}):
        found, created = await meet(tenant, merchant, **identity)
        assert (found.id, created) == (known.id, False)


@pytest.mark.parametrize("typed", ["138 1234 5678", "+86 138-1234-5678", "008613812345678", "１３８１２３４５６７８"])
async def test_a_phone_is_one_phone_however_it_is_typed(
    tenant: AsyncSession, merchant: MerchantFixture, typed: str
) -> None:
    known, _ = await meet(tenant, merchant, phone="13812345678")
    assert (await meet(tenant, merchant, phone=typed))[0].id == known.id


async def test_a_known_member_gains_what_it_did_not_have(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    known, _ = await meet(tenant, merchant, external_id="u-1", nickname="旧名")
    again, _ = await meet(
        tenant, merchant, external_id="u-1", phone="13812345678", phone_verified=True, nickname="新名"
    )
    assert again.id == known.id
    assert (again.phone, again.nickname) == ("+8613812345678", "新名")
    assert again.phone_verified_at is not None
    assert (await meet(tenant, merchant, phone="13812345678"))[0].id == known.id


async def test_an_unverified_phone_becomes_verified_but_never_unverified(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    member, _ = await meet(tenant, merchant, phone="13812345678")
    assert member.phone_verified_at is None
    member, _ = await meet(tenant, merchant, phone="13812345678", phone_verified=True)
    verified_at = member.phone_verified_at
    assert verified_at is not None
    member, _ = await meet(tenant, merchant, phone="13812345678")
    assert member.phone_verified_at == verified_at


async def test_identifiers_of_two_members_conflict(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    await meet(tenant, merchant, external_id="u-1")
    await meet(tenant, merchant, openid="o-1")
    with pytest.raises(Conflict) as refused:
        await meet(tenant, merchant, external_id="u-1", openid="o-1")
    assert refused.value.code == "member_identity_conflict"


async def test_an_identifier_that_contradicts_the_known_one_conflicts(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    await meet(tenant, merchant, external_id="u-1", phone="13812345678")
    with pytest.raises(Conflict) as refused:
        await meet(tenant, merchant, external_id="u-2", phone="13812345678")
    assert refused.value.code == "member_identity_conflict"


async def test_what_identifies_people_is_stored_sealed(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    member, _ = await meet(tenant, merchant, phone="13812345678", openid="o-secret", unionid="n-secret")
    row = await tenant.execute(text("SELECT members::text FROM members WHERE nickname IS NULL"))
    stored = row.scalar_one()
    for secret in ("13812345678", b"13812345678".hex(), "o-secret", b"o-secret".hex(), b"n-secret".hex()):
        assert secret not in stored
    assert member.phone == "+8613812345678"


async def test_many_at_once_make_one_member_that_knows_it_all(resources: Resources, merchant: MerchantFixture) -> None:
    identities: list[dict[str, Any]] = [
        {"phone": "13812345678", "external_id": "u-1"},
        {"phone": "13812345678", "openid": "o-1"},
        {"phone": "13812345678", "unionid": "n-1"},
    ]

    async def one(identity: dict[str, Any]) -> tuple[str, bool]:
        async with resources.db.tenant(merchant.test_id) as session:
            member, created = await meet(session, merchant, **identity)
            return member.id, created

    met = await asyncio.gather(*(one(identity) for identity in identities * 6))
    assert len({member_id for member_id, _ in met}) == 1
    assert [created for _, created in met].count(True) == 1
    async with resources.db.tenant(merchant.test_id) as session:
        member = await session.get(Member, (merchant.test_id, met[0][0]))
        assert member is not None
        assert (member.external_id, member.openid, member.unionid) == ("u-1", "o-1", "n-1")


async def test_the_same_phone_at_two_merchants_is_two_members(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    ids = set()
    for merchant_id in (merchant.test_id, merchant.live_id):
        async with resources.db.tenant(merchant_id) as session:
            member, created = await meet_at(session, merchant_id, MemberIdentity(phone="13812345678"))
            assert created
            ids.add(member.id)
    for client in (api, live_api):
        listed = (await client.get("/v1/members")).json()["data"]
        assert [row["phone"] for row in listed] == ["138****5678"]
        ids -= {row["id"] for row in listed}
    assert not ids


async def test_members_are_listed_found_and_shown_masked(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        for number in range(3):
            await meet(session, merchant, external_id=f"u-{number}", phone=new_phone(), openid=f"o-{number}")
    listed = (await api.get("/v1/members")).json()
    assert [row["external_id"] for row in listed["data"]] == ["u-2", "u-1", "u-0"]
    (found,) = (await api.get("/v1/members", params={"external_id": "u-2"})).json()["data"]
    assert found == (await api.get(f"/v1/members/{found['id']}")).json()
    assert "*" in found["phone"]
    assert not {"openid", "phone_index"} & found.keys()


@pytest.mark.parametrize("path", ["", "/membership"])
@pytest.mark.parametrize("member_id", ["mbr_01h2xcejqtf2nbrexx3vqjhp41", "ptc_01h2xcejqtf2nbrexx3vqjhp41", "x"])
async def test_a_member_that_is_not_there_is_not_found(api: httpx.AsyncClient, member_id: str, path: str) -> None:
    answer = await api.get(f"/v1/members/{member_id}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "member_not_found")
