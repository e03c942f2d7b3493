from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.kit import ids
from app.ledger import queries
from app.ledger.rules import BUCKETS, Leg, member_account, merged
from app.ledger.verify import verify
from app.resources import Resources
from tests.factories import make_merchant
from tests.factories.money import move

Place = tuple[str, str]
MEMBERS = [ids.new("mbr") for _ in range(3)]
places = st.sampled_from([(member_account(bucket), member) for bucket in BUCKETS for member in MEMBERS])
amounts = st.integers(1, 10**12)
FUNDS = 10**14  # more than any history takes out: what is held or out cannot be a debt
transfers = st.lists(st.tuples(places, places, amounts), min_size=1, max_size=5)


def legs_of(moves: list[tuple[Place, Place, int]]) -> list[Leg]:
    legs = [Leg(account, member, -amount) for (account, member), _, amount in moves]
    return legs + [Leg(account, member, amount) for _, (account, member), amount in moves]


@given(transfers)
def test_merging_legs_keeps_each_accounts_sum(moves: list[tuple[Place, Place, int]]) -> None:
    legs, small = legs_of(moves), merged(legs_of(moves))
    owners = [(leg.account, leg.member_id) for leg in small]
    assert len(set(owners)) == len(owners)
    assert all(leg.amount_minor for leg in small)
    for owner in {(leg.account, leg.member_id) for leg in legs}:
        total = sum(leg.amount_minor for leg in legs if (leg.account, leg.member_id) == owner)
        assert total == sum(leg.amount_minor for leg in small if (leg.account, leg.member_id) == owner)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(transfers, min_size=1, max_size=6))
async def test_after_any_postings_balances_are_what_was_moved(
    resources: Resources, history: list[list[tuple[Place, Place, int]]]
) -> None:
    own = (await make_merchant(resources)).test_id
    expected: Counter[Place] = Counter(
        {(bucket, member): FUNDS for bucket in map(member_account, BUCKETS) for member in MEMBERS}
    )
    async with resources.db.tenant(own) as session:
        funds = [Leg(bucket, member, FUNDS) for bucket, member in expected]
        await move(session, own, *funds, Leg("merchant_commission", None, -FUNDS * len(funds)))
    for moves in history:
        async with resources.db.tenant(own) as session:
            await move(session, own, *legs_of(moves))
        for leg in legs_of(moves):
            expected[leg.account, leg.member_id or ""] += leg.amount_minor
    async with resources.db.tenant(own) as session:
        for member in MEMBERS:
            found = await queries.balance(session, merchant_id=own, member_id=member)
            for bucket in BUCKETS:
                assert getattr(found, f"{bucket}_minor") == expected[member_account(bucket), member]
        report = await verify(session, merchant_id=own)
    wrong = {difference.check for difference in report.differences}
    assert wrong <= {"bucket_holds_the_commissions_of_its_status"}  # no commission stands behind these movements
