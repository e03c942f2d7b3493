"""Which account a transfer is asked after with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.kit import clock
from app.models import PayoutRail
from app.payouts import carrying
from app.payouts.carrying import Claim
from app.payouts.rails import asking, credentials
from app.payouts.rails.credentials import Settings
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable
from tests.factories.providers import alipay_settings, wechat_settings
from tests.factories.rails import open_counter

OLD, NEW = wechat_settings(), wechat_settings(mch_id="1900000110")
ACCOUNT = f"{OLD.mch_id}/{OLD.app_id}"
NOW = clock.utcnow()


def row(settings: Settings, *, changed: timedelta = timedelta()) -> PayoutRail:
    kind = credentials.kind_of(settings)
    return credentials.as_row(kind, settings, merchant_id="mch_01h2xcejqtf2nbrexx3vqjhp41", now=NOW + changed)


@pytest.fixture
async def claim(resources: Resources, merchant: MerchantFixture) -> Claim:
    """Of a payout that was sent with the account of `OLD`."""
    counter = await open_counter(resources, merchant.live_id)
    own: dict[str, Any] = {"merchant_id": counter.merchant_id}
    async with resources.db.tenant(counter.merchant_id) as session:
        await credentials.save(session, **own, settings=OLD, actor_id=counter.checker, now=NOW)
        await make_payable(session, counter.merchant_id, 700, kind="wechat", account="oUpF8uMuAJO_1")
    await counter.send((await counter.approved()).id, livemode=True)
    async with resources.db.system() as session:
        (taken,) = [
            each
            for each in await carrying.claim(session, limit=99, seconds=1)
            if each.merchant_id == counter.merchant_id
        ]
    async with resources.db.tenant(counter.merchant_id) as session:
        found = await carrying.unseal(session, taken)
    assert found is not None
    return found


async def test_what_it_was_sent_with_is_written_down(claim: Claim) -> None:
    assert claim.sent_with == ACCOUNT
    assert asking.with_its_account(claim, None) is claim


async def test_another_account_is_never_asked(claim: Claim) -> None:
    changed = replace(claim, credentials=row(NEW))
    assert asking.with_its_account(changed, None) is None
    assert asking.with_its_account(changed, NEW) is None
    assert asking.with_its_account(changed, alipay_settings()) is None
    assert asking.with_its_account(replace(claim, credentials=None), None) is None


async def test_the_older_account_is_asked_where_it_is_given(claim: Claim) -> None:
    asked = asking.with_its_account(replace(claim, credentials=row(NEW)), OLD)
    assert asked is not None
    assert asked.credentials is not None
    assert credentials.account_of(asked.credentials) == ACCOUNT


@pytest.mark.parametrize(("changed", "asked"), [(-1, True), (1, False)])
async def test_without_a_note_only_credentials_from_before_are_its(claim: Claim, changed: int, asked: bool) -> None:
    own = row(OLD, changed=timedelta(hours=changed))
    old = replace(claim, sent_with=None, sent_at=NOW, credentials=own)
    assert (asking.with_its_account(old, None) is not None) == asked
