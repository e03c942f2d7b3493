from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock
from app.kit.errors import InvitreeError, TooManyRequests, Unprocessable
from app.models import PhoneCode
from app.referrals import phone_codes
from app.resources import Resources
from app.worker.tasks import forget_old_codes
from tests.factories import MerchantFixture

PHONE = "13812345678"


async def send(session: AsyncSession, merchant_id: str, to: str = PHONE) -> phone_codes.SentCode:
    return await phone_codes.send(
        session, merchant_id=merchant_id, phone_or_email=to, purpose="join", now=clock.utcnow()
    )


async def verify(
    session: AsyncSession, merchant_id: str, code: str, *, to: str = PHONE, purpose: str = "join", later: int = 0
) -> None:
    now = clock.utcnow() + timedelta(seconds=later)
    await phone_codes.verify(session, merchant_id=merchant_id, subject=to, purpose=purpose, code=code, now=now)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def refusal(session: AsyncSession, merchant_id: str, code: str, **how: str | int) -> str:
    with pytest.raises(Unprocessable) as caught:
        await verify(session, merchant_id, code, **how)  # type: ignore[arg-type]  # the cases below name their own
    return caught.value.code


async def test_a_code_opens_once(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    sent = await send(tenant, merchant.test_id)
    assert sent.sandbox_code == sent.code
    assert len(sent.code) == 6
    await verify(tenant, merchant.test_id, f" {sent.code} ", to="+86 138 1234 5678")
    assert await refusal(tenant, merchant.test_id, sent.code) == "code_invalid"


async def test_a_code_is_bound_to_its_phone_and_purpose(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    sent = await send(tenant, merchant.test_id)
    assert await refusal(tenant, merchant.test_id, sent.code, purpose="login") == "code_invalid"
    assert await refusal(tenant, merchant.test_id, sent.code, to="13912345678") == "code_invalid"


async def test_a_code_ends_after_ten_minutes_of_the_tenants_clock(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    sent = await send(tenant, merchant.test_id)
    assert await refusal(tenant, merchant.test_id, sent.code, later=601) == "code_expired"


async def test_an_address_that_is_neither_phone_nor_mail_is_refused(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    with pytest.raises(Unprocessable, match="phone_invalid"):
        await send(tenant, merchant.test_id, "12")
    assert (await send(tenant, merchant.test_id, " Li@Example.com ")).to == "li@example.com"


async def test_the_code_is_not_in_the_table_nor_in_a_printout(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    sent = await send(tenant, merchant.test_id)
    row = await tenant.get_one(
        PhoneCode, {"merchant_id": merchant.test_id, "subject_index": phone_codes._index(sent.to), "purpose": "join"}
    )
    assert sent.code.encode() not in row.code_hash
    assert sent.code not in repr(sent)


async def test_wrong_guesses_are_counted_though_each_is_refused(
    resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        sent = await send(session, merchant.test_id)

    async def guess(code: str) -> str:
        try:
            async with resources.db.tenant(merchant.test_id) as session:
                await verify(session, merchant.test_id, code)
        except InvitreeError as error:
            return error.code
        return "ok"

    # At once, so that each sees the attempts of the others only by waiting for them.
    answers = await asyncio.gather(*(guess(wrong(sent.code)) for _ in range(8)))
    assert sorted(answers) == ["code_attempts_exceeded"] * 3 + ["code_invalid"] * 5
    assert await guess(sent.code) == "code_attempts_exceeded"


async def test_of_two_people_with_the_right_code_one_gets_in(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        sent = await send(session, merchant.test_id)

    async def enter() -> bool:
        try:
            async with resources.db.tenant(merchant.test_id) as session:
                await verify(session, merchant.test_id, sent.code)
        except Unprocessable:
            return False
        return True

    assert sorted(await asyncio.gather(*(enter() for _ in range(4)))) == [False, False, False, True]


async def test_of_two_requests_at_once_one_sends(resources: Resources, merchant: MerchantFixture) -> None:
    async def ask() -> str:
        try:
            async with resources.db.tenant(merchant.test_id) as session:
                await send(session, merchant.test_id)
        except TooManyRequests as error:
            return f"{error.code} {error.retry_after}"
        return "a code"

    answers = await asyncio.gather(*(ask() for _ in range(4)))
    assert sorted(answers) == ["a code"] + ["code_resend_too_soon 60"] * 3


async def test_a_new_code_after_a_minute_replaces_the_first_ten_times_a_day(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    codes = []
    for _ in range(phone_codes.MAX_SENDS):
        codes.append((await send(tenant, merchant.test_id)).code)
        await tenant.execute(update(PhoneCode).values(sent_at=PhoneCode.sent_at - timedelta(seconds=61)))
    with pytest.raises(TooManyRequests):
        await send(tenant, merchant.test_id)
    assert await refusal(tenant, merchant.test_id, codes[0]) == "code_invalid"
    await verify(tenant, merchant.test_id, codes[-1])
    await send(tenant, merchant.test_id)


async def test_old_codes_are_forgotten(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        await send(session, merchant.test_id, "13812340001")
        await send(session, merchant.test_id, "13812340002")
        index = phone_codes._index("+8613812340001")
        old = update(PhoneCode).where(PhoneCode.subject_index == index, PhoneCode.merchant_id == merchant.test_id)
        await session.execute(old.values(sent_at=clock.utcnow() - timedelta(days=3)))
    await forget_old_codes(resources)
    async with resources.db.tenant(merchant.test_id) as session:
        kept = (await session.scalars(select(PhoneCode))).all()
    assert [code.subject_index for code in kept] == [phone_codes._index("+8613812340002")]
