"""`POST /v1/events`: every item is answered by itself, and counts once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.kit import clock
from app.resources import Resources
from app.tracking import fallback
from app.tracking.keys import shard_of
from tests.factories import MerchantFixture, make_merchant
from tests.factories.served import WAYS, way_to
from tests.factories.tracking import WECHAT, Link, drain_all, make_hit, make_link, stored


@pytest.fixture(params=WAYS)
async def transport(request: pytest.FixtureRequest, app: FastAPI) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with way_to(app, request.param) as found:
        yield found


def item(link: Link, event_id: str, **values: Any) -> dict[str, Any]:
    return {"event_id": event_id, "type": "click", "invite_code": link.code} | values


async def send(api: httpx.AsyncClient, *items: Any) -> list[dict[str, Any]]:
    answer = await api.post("/v1/events", json=list(items))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def counted(api: httpx.AsyncClient, link: Link) -> dict[str, int]:
    answer = await api.get(f"/v1/campaigns/{link.campaign_id}/stats")
    shown = ("clicks", "scans", "views", "shares", "bot_hits", "late_hits", "unique_visitors")
    return {name: number for name, number in answer.json().items() if name in shown and number}


async def test_every_type_is_counted_as_itself(api: httpx.AsyncClient, link: Link) -> None:
    kinds = ("click", "scan", "scan", "view", "share")
    events = [item(link, f"event-{n}", type=kind, visitor_id="one") for n, kind in enumerate(kinds)]
    assert [answer["status"] for answer in await send(api, *events)] == ["accepted"] * 5
    assert await counted(api, link) == {"clicks": 1, "scans": 2, "views": 1, "shares": 1, "unique_visitors": 1}


async def test_the_same_event_id_counts_once(api: httpx.AsyncClient, link: Link) -> None:
    first = await send(api, item(link, "a"), item(link, "b"), item(link, "a", type="scan"))
    assert [answer["status"] for answer in first] == ["accepted", "accepted", "duplicate"]
    again = await send(api, item(link, "b"), item(link, "c"))
    assert again == [{"event_id": "b", "status": "duplicate"}, {"event_id": "c", "status": "accepted"}]
    assert await counted(api, link) == {"clicks": 3}


async def test_event_ids_of_two_merchants_do_not_meet(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, link: Link
) -> None:
    live_link = await make_link(resources, merchant.live_id)
    assert (await send(api, item(link, "same")))[0]["status"] == "accepted"
    assert (await send(live_api, item(live_link, "same")))[0]["status"] == "accepted"


async def test_an_event_id_names_one_event_of_one_campaign_wherever_it_is_counted(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, link: Link
) -> None:
    """Campaigns of one shard, and of another: the answer, the live counters and the rows say the same."""
    links = [link]
    while len(links) < 7 or len({shard_of(one.target.campaign_id, 2) for one in links}) < 2:
        links.append(await make_link(resources, merchant.test_id))
    events = [item(one, "same") for one in links]
    assert {answer["status"] for answer in await send(api, *events)} == {"accepted"}
    assert {answer["status"] for answer in await send(api, *events)} == {"duplicate"}
    await drain_all(resources)
    repeats = [make_hit(one, client_event_id="same") for one in links]
    assert await fallback.record(resources.db, repeats) == [False] * len(links)
    for one in links:
        assert await stored(resources, one) == {"clicks": 1} == await counted(api, one)


async def test_visitors_count_once_a_participant_and_day(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, link: Link
) -> None:
    yesterday = (clock.utcnow() - timedelta(days=1)).isoformat()
    await send(
        api,
        item(link, "a", visitor_id="one"),
        item(link, "b", visitor_id="one", type="scan"),
        item(link, "c", visitor_id="two"),
        item(link, "d", visitor_id="one", occurred_at=yesterday),
        item(link, "e"),
    )
    assert await counted(api, link) == {"clicks": 4, "scans": 1, "unique_visitors": 3}


async def test_bots_are_named_and_kept_apart(api: httpx.AsyncClient, link: Link) -> None:
    agents = {"bot": "Baiduspider/2.0", "nobody": "", "human": WECHAT}
    answers = await send(api, *(item(link, name, user_agent=agent, visitor_id=name) for name, agent in agents.items()))
    assert [answer["status"] for answer in answers] == ["ignored_bot", "ignored_bot", "accepted"]
    assert await counted(api, link) == {"clicks": 1, "unique_visitors": 1, "bot_hits": 2}


def long_ago(**ago: float) -> str:
    return (clock.utcnow() - timedelta(**ago)).isoformat()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"event_id": ""}, "event_id_invalid"),
        ({"event_id": "x" * 65}, "event_id_invalid"),
        ({"event_id": 7}, "event_id_invalid"),
        ({"type": "purchase"}, "type_invalid"),
        ({"invite_code": "22222222"}, "invite_code_unknown"),
        ({"invite_code": "not a code"}, "invite_code_unknown"),
        ({"invite_code": None}, "invite_code_invalid"),
        ({"visitor_id": ""}, "visitor_id_invalid"),
        ({"channel": 3}, "channel_invalid"),
        ({"user_agent": ["x"]}, "user_agent_invalid"),
        ({"occurred_at": "yesterday"}, "occurred_at_invalid"),
        ({"occurred_at": "2026-11-21T08:00:00"}, "occurred_at_invalid"),
        ({"occurred_at": 1_700_000_000}, "occurred_at_invalid"),
        ({"occurred_at": "1700000000"}, "occurred_at_invalid"),
        ({"occurred_at": long_ago(hours=49)}, "occurred_at_too_old"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at_too_old"),
        ({"occurred_at": long_ago(hours=-1)}, "occurred_at_in_the_future"),
        ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "occurred_at_in_the_future"),
        ({"ocurred_at": "2026-11-21T08:00:00Z"}, "field_unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
async def test_a_bad_item_is_named_and_the_good_ones_are_taken(
    api: httpx.AsyncClient, link: Link, changed: dict[str, Any], code: str
) -> None:
    answers = await send(api, item(link, "good"), item(link, "bad") | changed, item(link, "good too"))
    assert [answer["status"] for answer in answers] == ["accepted", "rejected", "accepted"]
    assert answers[1]["code"] == code
    assert answers[1]["detail"]
    assert await counted(api, link) == {"clicks": 2}


async def test_items_that_are_no_objects_are_rejected(api: httpx.AsyncClient, link: Link) -> None:
    answers = await send(api, None, 7, "x", [], {}, item(link, "good"))
    assert [answer["status"] for answer in answers] == ["rejected"] * 5 + ["accepted"]
    assert [answer["event_id"] for answer in answers if "event_id" in answer] == ["good"]


async def test_another_merchants_code_answers_like_an_unknown_one(
    api: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    foreign = await make_link(resources, (await make_merchant(resources)).test_id)
    unknown, other = await send(api, item(link, "a", invite_code="22222222"), item(foreign, "a"))
    assert unknown == other


async def test_before_the_campaign_begins_events_are_rejected(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    draft = await make_link(resources, merchant.test_id, status="draft")
    answers = await send(api, item(draft, "a"), item(draft, "b", user_agent="curl/8"))
    assert [answer["code"] for answer in answers] == ["campaign_not_active"] * 2


@pytest.mark.usefixtures("link")  # so that live counters are shown
async def test_what_happened_before_the_campaign_began_is_rejected(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    """However long it runs by now, and also where it is over."""
    begun = clock.utcnow() - timedelta(hours=2)
    for n, ended_at in enumerate((None, begun + timedelta(hours=1))):
        status = "ended" if ended_at else "active"
        link = await make_link(resources, merchant.test_id, starts_at=begun, status=status, ended_at=ended_at)
        answers = await send(api, item(link, f"{n} early", occurred_at=long_ago(hours=3)), item(link, f"{n}"))
        assert [answer.get("code") for answer in answers] == ["campaign_not_active", None]
        assert (await counted(api, link)).keys() == {"late_hits" if ended_at else "clicks"}


@pytest.mark.usefixtures("link")  # so that live counters are shown
async def test_what_happened_before_the_end_is_not_late(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    now = clock.utcnow()
    over = await make_link(resources, merchant.test_id, status="ended", ended_at=now - timedelta(hours=1))
    await send(api, item(over, "before", occurred_at=long_ago(hours=2)), item(over, "after"))
    assert await counted(api, over) == {"clicks": 1, "late_hits": 1}


async def test_a_test_tenants_clock_is_what_late_and_future_are_measured_by(
    api: httpx.AsyncClient, link: Link, resources: Resources
) -> None:
    await api.post("/v1/test-clock", json={"advance_seconds": 10 * 86_400})
    old, fresh = await send(
        api, item(link, "a"), item(link, "b", occurred_at=(clock.utcnow() + timedelta(days=9)).isoformat())
    )
    assert (old["status"], fresh["status"]) == ("accepted", "accepted")
    assert (await send(api, item(link, "c", occurred_at=clock.utcnow().isoformat())))[0][
        "code"
    ] == "occurred_at_too_old"


async def test_501_items_are_too_many(api: httpx.AsyncClient, link: Link) -> None:
    answer = await api.post("/v1/events", json=[item(link, str(n)) for n in range(501)])
    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    assert len(await send(api, *(item(link, str(n)) for n in range(500)))) == 500
    assert await counted(api, link) == {"clicks": 500}


@pytest.mark.parametrize(("body", "status"), [("{}", 422), ("[", 400)])
async def test_what_is_no_list_is_refused(api: httpx.AsyncClient, body: str, status: int) -> None:
    answer = await api.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_emoji_that_was_cut_in_half_spoils_its_own_item_alone(api: httpx.AsyncClient, link: Link) -> None:
    """As programs do that cut a user agent by UTF-16 units: valid JSON, and no text."""
    good, bad = (json.dumps(item(link, name, user_agent=WECHAT + cut)) for name, cut in (("a", ""), ("b", "\ud83d")))
    content = f"[{good},{bad}]".encode()
    answer = await api.post("/v1/events", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert [(each["event_id"], each["status"], each.get("code")) for each in answer.json()["data"]] == [
        ("a", "accepted", None),
        ("b", "rejected", "text_not_unicode"),
    ]
    for broken in (content[:-1], b'["\\ud83d", NaN]', b'["\\ud83d\xff"]'):
        answer = await api.post("/v1/events", content=broken, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "json_invalid")


async def test_nothing_to_take_is_no_fault(api: httpx.AsyncClient) -> None:
    assert await send(api) == []


async def test_a_key_is_needed(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/events", json=[])).status_code == 401


async def test_figures_are_the_same_once_drained(api: httpx.AsyncClient, resources: Resources, link: Link) -> None:
    await send(api, item(link, "a", visitor_id="v"), item(link, "b", type="scan", visitor_id="v"), item(link, "a"))
    live = await counted(api, link)
    assert await drain_all(resources) == 2
    assert await counted(api, link) == live == {"clicks": 1, "scans": 1, "unique_visitors": 1}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON ; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("application/jsonfoo", 422),
        ("application/json-seq", 422),
        ("text/plain", 422),
    ],
)
async def test_what_does_not_say_that_it_is_json_is_not_taken(
    api: httpx.AsyncClient, link: Link, kind: str, status: int
) -> None:
    answer = await api.post("/v1/events", content=json.dumps([item(link, "a")]), headers={"Content-Type": kind})
    assert answer.status_code == status
    assert status == 200 or answer.json()["code"] == "content_type_unexpected"
