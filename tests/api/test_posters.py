"""Posters over HTTP: what is on them, when they are drawn anew, and to whom they are shown."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from app.kit import ids
from app.kit.errors import Unavailable
from app.models import Merchant
from app.poster import PosterInput, Template, read_back
from app.referrals import posters
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_merchant, make_participant
from tests.factories.pictures import make_asset

AVATAR_MIDDLE = (448, 982)


class Pen:
    """A renderer that notes what it is asked for, and whether the application holds a transaction meanwhile."""

    def __init__(self, resources: Resources) -> None:
        self.resources, self.renderer = resources, resources.renderer
        self.asked: list[PosterInput] = []
        self.held = 0

    async def render(self, template: Template, poster: PosterInput, format: str = "jpeg") -> bytes:  # noqa: A002
        pools: list[Any] = [self.resources.db.app_engine.pool, self.resources.db.system_engine.pool]
        self.held += sum(pool.checkedout() for pool in pools)
        self.asked.append(poster)
        return await self.renderer.render(template, poster, "png" if format == "png" else "jpeg")


class Busy:
    async def render(self, *_: object) -> bytes:
        raise Unavailable("renderer_busy", "Too many pictures are being drawn; try again.", retry_after=1)


@pytest.fixture
def pen(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> Pen:
    pen = Pen(resources)
    monkeypatch.setattr(resources, "renderer", pen)
    return pen


async def make_promoter(resources: Resources, merchant: MerchantFixture, status: str = "active") -> tuple[str, str]:
    """Its id and its code."""
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, status=status)
        participant = await make_participant(session, campaign)
    return participant.id, participant.invite_code


@pytest.fixture
async def promoter(resources: Resources, merchant: MerchantFixture) -> tuple[str, str]:
    return await make_promoter(resources, merchant)


async def join(api: httpx.AsyncClient, campaign_id: str, **member: Any) -> dict[str, Any]:
    answer = await api.post(
        f"/v1/campaigns/{campaign_id}/participants", json={"member": {"external_id": "u-1", **member}}
    )
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def make_open_campaign(resources: Resources, merchant: MerchantFixture, *, avatars: bool = True) -> str:
    async with resources.db.tenant(merchant.test_id) as session:
        return (await make_campaign(session, merchant.test_id, poster_avatars=avatars)).id


def opened(answer: httpx.Response) -> Image.Image:
    return Image.open(io.BytesIO(answer.content))


def at_avatar(answer: httpx.Response) -> tuple[int, int, int]:
    red, green, blue = opened(answer).convert("RGB").getpixel(AVATAR_MIDDLE)  # type: ignore[misc]  # RGB has three
    return red, green, blue


async def test_the_poster_is_public_small_and_its_code_reads_as_the_invite_link(
    http: httpx.AsyncClient, promoter: tuple[str, str]
) -> None:
    _, code = promoter
    shown = await http.get(f"/p/{code}.jpg")
    assert shown.status_code == 200
    assert shown.headers["content-type"] == "image/jpeg"
    assert len(shown.content) <= 500_000
    assert opened(shown).size == (750, 1334)
    assert read_back(shown.content) == [f"https://t.invitree.cn/i/{code}?s=qr"]
    assert shown.headers["cache-control"] == "no-cache"
    assert shown.headers["x-content-type-options"] == "nosniff"


async def test_a_code_in_capitals_shows_the_same_poster(http: httpx.AsyncClient, promoter: tuple[str, str]) -> None:
    small, large = [await http.get(f"/p/{code}.jpg") for code in (promoter[1], promoter[1].upper())]
    assert small.headers["etag"] == large.headers["etag"]


@pytest.mark.parametrize("name", ["22222222.jpg", "nobody.jpg", "%F0%9F%8D%B5.jpg", "2222222222222222.jpg"])
async def test_an_unknown_code_gets_a_friendly_page(http: httpx.AsyncClient, name: str) -> None:
    missing = await http.get(f"/p/{name}")
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("text/html")
    assert "没有找到这个邀请" in missing.text
    assert missing.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
async def test_who_has_the_poster_is_told_so_without_drawing(
    http: httpx.AsyncClient, promoter: tuple[str, str], pen: Pen, known: str
) -> None:
    path = f"/p/{promoter[1]}.jpg"
    etag = (await http.head(path)).headers["etag"]
    for method in ("GET", "HEAD"):
        answer = await http.request(method, path, headers={"If-None-Match": known.format(etag)})
        assert (answer.status_code, answer.content) == (304, b"")
        assert (answer.headers["etag"], answer.headers["cache-control"]) == (etag, "no-cache")
    assert pen.asked == []


async def test_a_look_at_the_head_draws_nothing_and_says_what_a_get_would(
    http: httpx.AsyncClient, promoter: tuple[str, str], pen: Pen
) -> None:
    head = await http.head(f"/p/{promoter[1]}.jpg")
    assert pen.asked == []
    assert (head.status_code, head.content) == (200, b"")
    whole = await http.get(f"/p/{promoter[1]}.jpg")
    for name in ("etag", "content-type", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    assert "content-length" not in head.headers
    assert (await http.head("/p/22222222.jpg")).status_code == 404


async def test_another_etag_gets_the_poster(http: httpx.AsyncClient, promoter: tuple[str, str]) -> None:
    for known in ('"0"', "", "nonsense"):
        answer = await http.get(f"/p/{promoter[1]}.jpg", headers={"If-None-Match": known})
        assert answer.status_code == 200


async def test_another_name_or_avatar_is_another_poster(
    api: httpx.AsyncClient, http: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    campaign_id = await make_open_campaign(resources, merchant)
    poster_url = (await join(api, campaign_id, nickname="小明"))["poster_url"]
    changes: list[dict[str, str]] = [
        {},
        {"nickname": "小红🍵"},
        {"avatar_asset_id": (await make_asset(api, "#C02020"))["id"]},
        {"avatar_asset_id": (await make_asset(api, "#2020C0"))["id"]},
    ]
    etags: list[str] = []
    for change in changes:
        await join(api, campaign_id, **change)
        old = {"If-None-Match": ", ".join(etags)} if etags else {}
        answer = await http.get(poster_url, headers=old)
        assert answer.status_code == (200 if change or not etags else 304)
        etags.append(answer.headers["etag"])
    assert len(set(etags)) == len(changes)


async def test_the_avatar_is_on_the_poster(
    api: httpx.AsyncClient, http: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    campaign_id = await make_open_campaign(resources, merchant)
    asset = await make_asset(api, "#2030C8")
    poster_url = (await join(api, campaign_id, nickname="小明"))["poster_url"]
    before = at_avatar(await http.get(poster_url))
    await join(api, campaign_id, avatar_asset_id=asset["id"])
    after = at_avatar(await http.get(poster_url))
    assert max(abs(one - two) for one, two in zip(after, (0x20, 0x30, 0xC8), strict=True)) < 12
    assert max(abs(one - two) for one, two in zip(after, before, strict=True)) > 60


async def test_no_picture_is_shown_where_the_campaign_did_not_ask_for_it(
    api: httpx.AsyncClient, http: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    campaign_id = await make_open_campaign(resources, merchant, avatars=False)
    asset = await make_asset(api, "#2030C8")
    poster_url = (await join(api, campaign_id, nickname="小明"))["poster_url"]
    before = await http.get(poster_url)
    await join(api, campaign_id, avatar_asset_id=asset["id"])
    assert (await http.get(poster_url)).content == before.content


async def test_a_name_that_offends_is_covered(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, pen: Pen
) -> None:
    campaign_id = await make_open_campaign(resources, merchant)
    made = await join(api, campaign_id, nickname="<b>官方客服</b>")
    assert (await api.get(f"/v1/participants/{made['id']}/poster")).status_code == 200
    assert pen.asked[0].nickname == "<b>官方客服</b>"
    assert "客服" not in pen.asked[0].name


@pytest.mark.parametrize("status", ["scheduled", "active", "paused", "ended", "settled"])
async def test_posters_outlive_their_campaign(
    http: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, status: str
) -> None:
    _, code = await make_promoter(resources, merchant, status)
    assert (await http.get(f"/p/{code}.jpg")).status_code == 200


async def test_a_campaign_that_was_never_published_is_shown_to_its_merchant_alone(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    participant_id, code = await make_promoter(resources, merchant, "draft")
    hidden = await http.get(f"/p/{code}.jpg")
    assert hidden.status_code == 404
    assert hidden.text == (await http.get("/p/22222222.jpg")).text
    assert (await api.get(f"/v1/participants/{participant_id}/poster")).status_code == 200


async def test_no_transaction_is_held_while_a_poster_is_drawn(
    api: httpx.AsyncClient, http: httpx.AsyncClient, promoter: tuple[str, str], pen: Pen
) -> None:
    participant_id, code = promoter
    await http.get(f"/p/{code}.jpg")
    await api.get(f"/v1/participants/{participant_id}/poster")
    await api.post("/v1/poster-templates/distribution/preview", json={})
    assert len(pen.asked) == 3
    assert pen.held == 0


async def test_too_many_posters_are_told_to_people_and_to_programs_in_their_own_way(
    api: httpx.AsyncClient,
    http: httpx.AsyncClient,
    promoter: tuple[str, str],
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources, "renderer", Busy())
    participant_id, code = promoter
    page, problem = await http.get(f"/p/{code}.jpg"), await api.get(f"/v1/participants/{participant_id}/poster")
    assert (page.status_code, problem.status_code) == (503, 503)
    assert page.headers["retry-after"] == problem.headers["retry-after"] == "1"
    assert "服务暂时不可用" in page.text
    assert problem.json()["code"] == "renderer_busy"


async def test_a_merchant_gets_its_posters_as_jpeg_or_png(
    api: httpx.AsyncClient, http: httpx.AsyncClient, promoter: tuple[str, str]
) -> None:
    participant_id, code = promoter
    path = f"/v1/participants/{participant_id}/poster"
    usual, jpeg, png = await api.get(path), await api.get(f"{path}?format=jpeg"), await api.get(f"{path}?format=png")
    public = await http.get(f"/p/{code}.jpg")
    assert usual.content == jpeg.content == public.content
    assert jpeg.headers["etag"] == public.headers["etag"] != png.headers["etag"]
    assert (png.headers["content-type"], opened(png).format) == ("image/png", "PNG")
    assert read_back(png.content) == read_back(jpeg.content)
    assert (await api.get(path, headers={"If-None-Match": jpeg.headers["etag"]})).status_code == 304
    refused = await api.get(f"{path}?format=gif")
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")


BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("image/webp", "WEBP"),
        ("image/png;q=0.5, image/webp; q=0.9", "WEBP"),
        ("image/jpeg;q=0, image/*", "WEBP"),
        ("image/jpeg;q=0", "WEBP"),
        ("image/jpeg;q=0.0, image/webp;q=0", "PNG"),
        (BROWSER, "WEBP"),
        ("image/png", "PNG"),
        ("image/*", "JPEG"),
        ("*/*", "JPEG"),
        ("text/html", "JPEG"),
        ("image/webp;q=many", "JPEG"),
        ("", "JPEG"),
    ],
)
async def test_without_a_format_it_is_the_one_that_the_client_prefers(
    api: httpx.AsyncClient, http: httpx.AsyncClient, promoter: tuple[str, str], accept: str, expected: str
) -> None:
    path = f"/v1/participants/{promoter[0]}/poster"
    shown = await api.get(path, headers={"Accept": accept})
    assert opened(shown).format == expected
    assert shown.headers["content-type"] == f"image/{expected.lower()}"
    assert read_back(shown.content) == [f"https://t.invitree.cn/i/{promoter[1]}?s=qr"]
    known = {"Accept": accept, "If-None-Match": shown.headers["etag"]}
    unchanged = await api.get(path, headers=known)
    assert unchanged.status_code == 304
    assert {"Accept"} == {answer.headers["vary"] for answer in (shown, unchanged)}
    wished = await api.get(f"{path}?format=jpeg", headers={"Accept": accept})
    named = await http.get(f"/p/{promoter[1]}.jpg", headers={"Accept": accept})
    assert opened(wished).format == opened(named).format == "JPEG"
    assert "vary" not in wished.headers
    assert "vary" not in named.headers


async def test_a_foreign_participant_is_as_none(
    app: FastAPI, http: httpx.AsyncClient, live_api: httpx.AsyncClient, promoter: tuple[str, str], resources: Resources
) -> None:
    path = "/v1/participants/{}/poster"
    other = await make_merchant(resources)
    async with other.client(app) as stranger:
        for client in (live_api, stranger):
            for participant_id in (promoter[0], ids.new("ptc"), "ptc_x", promoter[1]):
                missing = await client.get(path.format(participant_id))
                assert (missing.status_code, missing.json()["code"]) == (404, "participant_not_found")
    assert (await http.get(path.format(promoter[0]))).status_code == 401


async def test_the_poster_promises_what_the_rules_give(
    resources: Resources, merchant: MerchantFixture, promoter: tuple[str, str]
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        _, poster = await posters.of_participant(
            session, merchant_id=merchant.test_id, participant_id=promoter[0], public_url="https://t.invitree.cn"
        )
    assert (poster.days, poster.inviter_days, poster.price) == (30, 30, "59.00")
    assert (poster.title, poster.product, poster.merchant) == ("案例集分销", "案例集 + 年度会员", "清茶书社")
    assert poster.nickname == "小明"


async def test_each_kind_of_campaign_has_its_template_and_the_house_its_own(resources: Resources) -> None:
    merchant = await make_merchant(resources)
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        for kind in ("distribution", "refer_a_friend"):
            campaign.kind = kind
            assert await posters.offered(session, campaign) == [kind]
        (await session.get_one(Merchant, merchant.test_id)).is_house = True
        with session.no_autoflush:
            assert await posters.offered(session, campaign) == ["merchant_registration"]
        await session.rollback()


@pytest.mark.parametrize("path", ["participants", "signups"])
async def test_a_foreign_or_unknown_avatar_is_not_found_and_nothing_is_written(
    api: httpx.AsyncClient,
    live_api: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    path: str,
) -> None:
    campaign_id = await make_open_campaign(resources, merchant)
    url = f"/v1/campaigns/{campaign_id}/participants" if path == "participants" else "/v1/signups"
    extra = {} if path == "participants" else {"campaign_id": campaign_id}
    for asset_id in ((await make_asset(live_api))["id"], ids.new("ast")):
        member = {"external_id": "u-1", "avatar_asset_id": asset_id}
        refused = await api.post(url, json={"member": member, **extra})
        assert (refused.status_code, refused.json()["code"]) == (404, "asset_not_found")
    wild = await api.post(url, json={"member": {"external_id": "u-1", "avatar_asset_id": "ast_x"}, **extra})
    assert (wild.status_code, wild.json()["code"]) == (422, "validation_failed")
    assert (await api.get("/v1/members")).json()["data"] == []


async def test_members_show_their_avatar_and_keep_it(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = await make_open_campaign(resources, merchant)
    asset_id = (await make_asset(api))["id"]
    member = {"external_id": "u-1", "avatar_asset_id": asset_id}
    made = await api.post("/v1/signups", json={"campaign_id": campaign_id, "member": member})
    assert made.json()["member"]["avatar_asset_id"] == asset_id
    await join(api, campaign_id, nickname="小红")
    shown = (await api.get(f"/v1/members/{made.json()['member']['id']}")).json()
    assert (shown["avatar_asset_id"], shown["nickname"]) == (asset_id, "小红")
