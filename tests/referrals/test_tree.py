"""The chain up and the invitees down, at any depth."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import PageQuery
from app.models import Participant
from app.models.referrals import PATH_INDEXED
from app.referrals import queries, rules
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.chains import grow_chain
from tests.factories.invites import open_campaign, sign_up

DEPTH = 1_000


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
def test_a_path_gives_back_its_numbers(numbers: list[int]) -> None:
    path = "".join(map(rules.segment, numbers))
    assert rules.numbers(path) == numbers
    assert rules.is_in_subtree(path, root="".join(map(rules.segment, numbers[:-1])))
    assert path < rules.end_of_prefix(path)


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_path_is_no_prefix_of_another_nodes(one: int, other: int) -> None:
    """Not even where one number's digits begin with the other's."""
    inside = rules.is_in_subtree(rules.segment(other), root=rules.segment(one))
    assert inside is (one == other)
    below = rules.segment(one) + rules.segment(other)
    assert rules.segment(one) < below < rules.end_of_prefix(rules.segment(one))


async def get(session: AsyncSession, participant_id: str, merchant: MerchantFixture) -> Participant:
    return await queries.get_participant(session, merchant_id=merchant.test_id, participant_id=participant_id)


async def test_a_chain_a_thousand_deep_is_read_both_ways(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    campaign = await make_campaign(tenant, merchant.test_id)
    root = await make_participant(tenant, campaign)
    await make_participant(tenant, campaign)
    chain = [root.id, *await grow_chain(tenant, root, DEPTH)]
    leaf = await get(tenant, chain[-1], merchant)
    assert len(leaf.path) > 2 * PATH_INDEXED

    ancestors = await queries.ancestors(tenant, merchant_id=merchant.test_id, participant=leaf)
    assert [node.id for node in ancestors] == chain[-2::-1]
    for depth in (0, 1, 150, 500, DEPTH - 1, DEPTH):
        node = await get(tenant, chain[depth], merchant)
        counts = await queries.level_counts(tenant, merchant_id=merchant.test_id, participant=node)
        assert counts == dict.fromkeys(range(1, DEPTH - depth + 1), 1), depth


@pytest.mark.parametrize("depth", [3, 400])
async def test_levels_below_a_deep_node_hold_its_own_only(
    tenant: AsyncSession, merchant: MerchantFixture, depth: int
) -> None:
    """Also where the paths are longer than what the index holds, and neighbours share all of it."""
    campaign = await make_campaign(tenant, merchant.test_id)
    chain = await grow_chain(tenant, await make_participant(tenant, campaign), depth)
    inviter = await get(tenant, chain[-1], merchant)
    node, neighbour = [await make_participant(tenant, campaign, inviter=inviter) for _ in range(2)]
    children = [await make_participant(tenant, campaign, inviter=node) for _ in range(3)]
    grandchildren = [await make_participant(tenant, campaign, inviter=children[0]) for _ in range(2)]
    await make_participant(tenant, campaign, inviter=neighbour)

    async def below(level: int | None, limit: int = 20) -> list[str]:
        found = await queries.invitees(
            tenant, merchant_id=merchant.test_id, participant=node, level=level, query=PageQuery(limit)
        )
        return [row.id for row in found.rows]

    newest_children = [row.id for row in reversed(children)]
    newest_grandchildren = [row.id for row in reversed(grandchildren)]
    assert await below(1) == newest_children
    assert await below(2) == newest_grandchildren
    assert await below(3) == []
    assert await below(None) == newest_grandchildren + newest_children
    assert await below(None, limit=1) == newest_grandchildren[:1]
    counts = await queries.level_counts(tenant, merchant_id=merchant.test_id, participant=node)
    assert counts == {1: 3, 2: 2}


async def test_the_api_shows_chain_levels_and_counts(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, root = await open_campaign(resources, merchant)
    people = [root.id]
    code = root.invite_code
    for _ in range(3):
        participant = (await sign_up(api, campaign, code)).json()["participant"]
        people.append(participant["id"])
        code = participant["invite_code"]
    chain = (await api.get(f"/v1/participants/{people[3]}/chain")).json()
    assert [row["id"] for row in chain["data"]] == people[2::-1]
    assert (chain["has_more"], chain["next_cursor"]) == (False, None)

    async def invitees(level: str) -> list[str]:
        listed = (await api.get(f"/v1/participants/{root.id}/invitees", params={"level": level})).json()
        return [row["id"] for row in listed["data"]]

    assert await invitees("1") == [people[1]]
    assert await invitees("2") == [people[2]]
    assert await invitees("all") == people[:0:-1]
    counts = (await api.get(f"/v1/participants/{root.id}/invitees/counts")).json()
    assert counts["total"] == 3
    assert counts["levels"] == [{"level": level, "count": 1} for level in (1, 2, 3)]
    for level in ("0", "-1", "some", "1.5"):
        answer = await api.get(f"/v1/participants/{root.id}/invitees", params={"level": level})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), level


async def test_a_list_of_invitees_is_paged(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, root = await open_campaign(resources, merchant)
    made = [(await sign_up(api, campaign, root.invite_code)).json()["participant"]["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        params = {"limit": "2", "level": "all"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get(f"/v1/participants/{root.id}/invitees", params=params)).json()
        seen += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (made[::-1], None)
