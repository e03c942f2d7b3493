"""A live merchant's batch, from its credentials to the signed wire and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.kit import clock
from app.payouts import carrying
from app.payouts.rails import calls, credentials, opening
from app.resources import Resources
from app.worker import payouts as worker
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable
from tests.factories.providers import AlipayFake, WechatFake
from tests.factories.rails import Counter, open_counter

PAYEES: dict[str, dict[str, Any]] = {
    "wechat": {"kind": "wechat", "account": "oUpF8uMuAJO_1"},
    "alipay": {"kind": "alipay", "account": "zhang@example.com"},
}


@pytest.fixture
async def counter(resources: Resources, merchant: MerchantFixture) -> Counter:
    return await open_counter(resources, merchant.live_id)


async def sent(counter: Counter, kind: str, settings: credentials.Settings) -> None:
    own: dict[str, Any] = {"merchant_id": counter.merchant_id, "actor_id": counter.checker, "now": clock.utcnow()}
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await make_payable(session, counter.merchant_id, 700, **PAYEES[kind])
        await credentials.save(session, settings=settings, **own)
    await counter.send((await counter.approved()).id, livemode=True)


async def claimed(counter: Counter) -> carrying.Claim:
    async with counter.resources.db.system() as session:
        found = await carrying.claim(session, limit=99, seconds=60)
        taken = next(each for each in found if each.merchant_id == counter.merchant_id)
        claim = await carrying.unseal(session, taken)
    assert claim is not None
    return claim


@pytest.mark.parametrize("kind", ["wechat", "alipay"])
async def test_a_live_payout_goes_by_the_rail_of_its_account(counter: Counter, kind: str) -> None:
    fake = WechatFake(state="SUCCESS") if kind == "wechat" else AlipayFake()
    await sent(counter, kind, fake.settings)
    claim = await claimed(counter)
    assert claim.rail == kind
    async with fake.client() as client:
        rail = opening.open_rail(claim.rail, claim.credentials, client)
        answer = await calls.turn(rail, claim.transfer, is_new=True, cancelling=False)
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        assert await carrying.record(session, claim=claim, answer=answer)
    (payout,) = await counter.payouts()
    assert (payout.status, payout.rail, payout.paid_at is not None) == ("paid", kind, True)
    assert (await counter.transfers(), await counter.differences()) == ([], [])


async def test_without_credentials_nothing_is_called_and_it_is_tried_again(counter: Counter) -> None:
    await sent(counter, "wechat", WechatFake().settings)
    claim = await claimed(counter)
    with pytest.raises(ValueError, match="no credentials"):
        opening.open_rail(claim.rail, None, WechatFake().client())
    with pytest.raises(ValueError, match="no credentials"):
        worker.rail_of(counter.resources, WechatFake().client(), replace(claim, credentials=None))
