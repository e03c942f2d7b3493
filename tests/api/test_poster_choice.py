"""Several posters a campaign, of which each participant picks one."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant


async def make_choice(
    resources: Resources, merchant: MerchantFixture, offered: Sequence[str] = ("distribution", "refer_a_friend")
) -> tuple[str, str]:
    """A participant's id and code, in a campaign that offers these templates."""
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, poster_template_ids=list(offered))
        participant = await make_participant(session, campaign)
    return participant.id, participant.invite_code


async def test_a_participant_picks_one_of_the_campaigns_posters(
    api: httpx.AsyncClient, http: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    participant_id, code = await make_choice(resources, merchant)
    first = await http.get(f"/p/{code}.jpg")
    other = await http.get(f"/p/{code}.jpg", params={"template": "refer_a_friend"})
    assert first.content != other.content
    picked = await api.patch(f"/v1/participants/{participant_id}", json={"poster_template_id": "refer_a_friend"})
    assert picked.json()["poster_template_id"] == "refer_a_friend"
    assert (await http.get(f"/p/{code}.jpg")).content == other.content
    assert (await api.get(f"/v1/participants/{participant_id}/poster")).content == other.content
    await api.patch(f"/v1/participants/{participant_id}", json={"poster_template_id": None})
    assert (await http.get(f"/p/{code}.jpg")).content == first.content


async def test_only_what_the_campaign_offers_can_be_picked_or_looked_at(
    api: httpx.AsyncClient, http: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    participant_id, code = await make_choice(resources, merchant, ["distribution"])
    refused = await api.patch(f"/v1/participants/{participant_id}", json={"poster_template_id": "refer_a_friend"})
    assert (refused.status_code, refused.json()["code"]) == (422, "poster_template_not_offered")
    assert (await http.get(f"/p/{code}.jpg", params={"template": "refer_a_friend"})).status_code == 404
    assert (await http.get(f"/p/{code}.jpg", params={"template": "distribution"})).status_code == 200


async def test_a_picked_poster_that_is_no_longer_offered_gives_way_to_the_first(
    api: httpx.AsyncClient, http: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    participant_id, code = await make_choice(resources, merchant)
    first = await http.get(f"/p/{code}.jpg")
    await api.patch(f"/v1/participants/{participant_id}", json={"poster_template_id": "refer_a_friend"})
    campaign_id = (await api.get(f"/v1/participants/{participant_id}")).json()["campaign_id"]
    await api.patch(f"/v1/campaigns/{campaign_id}", json={"poster_template_ids": ["distribution"]})
    assert (await http.get(f"/p/{code}.jpg")).content == first.content
