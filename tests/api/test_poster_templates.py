"""Merchants' own poster templates: checked before they are kept, drawn as they are kept."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import select

from app.api.v1.poster_templates import DOCUMENT
from app.kit import ids
from app.kit.errors import NotFound
from app.models import Job
from app.poster import Template, load_template, read_back
from app.poster.renderer import Renderer
from app.referrals import templates
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.pictures import make_asset

PATH = "/v1/poster-templates"
CODE = {"type": "qr", "x": 225, "y": 900, "size": 300}
BLUE, GREEN = "#1030A0", "#108040"


def document(*layers: dict[str, Any], colour: str = BLUE) -> dict[str, Any]:
    return {"background": {"paint": colour}, "layers": [*layers, CODE]}


async def make_template(api: httpx.AsyncClient, given: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    body = {"name": "春季", "document": given or document(), **more}
    made = await api.post(PATH, json=body)
    assert made.status_code == 201, made.text
    template: dict[str, Any] = made.json()
    return template


def opened(answer: httpx.Response) -> Image.Image:
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def is_coloured(answer: httpx.Response, colour: str, at: tuple[int, int] = (5, 5)) -> bool:
    shown: Any = opened(answer).getpixel(at)
    return all(abs(one - two) < 8 for one, two in zip(shown, bytes.fromhex(colour[1:]), strict=True))


async def refused(api: httpx.AsyncClient, given: object) -> tuple[int, str, dict[str, str]]:
    answer = await api.post(PATH, json={"name": "春季", "document": given})
    problem = answer.json()
    return answer.status_code, problem["code"], {e["pointer"]: e["code"] for e in problem.get("errors", [])}


async def test_the_example_is_taken_and_shown_complete(api: httpx.AsyncClient) -> None:
    made = await make_template(api, dict(DOCUMENT), metadata={"season": "spring"})
    assert made["id"].startswith("tpl_")
    assert (made["object"], made["builtin"], made["version"], made["warnings"]) == ("poster_template", False, 1, [])
    assert made["metadata"] == {"season": "spring"}
    assert load_template(made["document"]) == load_template(DOCUMENT)
    assert (await api.get(f"{PATH}/{made['id']}")).json() == made
    assert (await api.get(PATH)).json()["data"] == [made]


async def test_what_is_shown_can_be_sent_again(api: httpx.AsyncClient) -> None:
    for name in ("distribution", "refer_a_friend", "milestone"):
        shown = (await api.get(f"{PATH}/{name}")).json()
        made = await make_template(api, shown["document"])
        assert made["document"] == shown["document"]


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, {"/document/background": "missing"}),
        ({"background": {"paint": "red"}}, {"/document/background/paint": "string_pattern_mismatch"}),
        (document({"type": "video"}), {"/document/layers/0": "union_tag_invalid"}),
        (
            document({"type": "text", "x": 0, "y": 0, "width": 9, "text": "{phone}", "size": 20}),
            {"/document/layers/0/text": "value_error"},
        ),
        (
            document({"type": "image", "x": 0, "y": 0, "width": 9, "height": 9, "asset": "logo"}),
            {"/document/layers/0/asset": "asset_missing"},
        ),
    ],
)
async def test_a_document_that_is_none_is_pointed_at(
    api: httpx.AsyncClient, given: dict[str, Any], faults: dict[str, str]
) -> None:
    assert await refused(api, given) == (422, "poster_template_invalid", faults)


@pytest.mark.parametrize(
    ("layers", "faults"),
    [
        ([], {"/document/layers": "qr_count"}),
        ([CODE, CODE], {"/document/layers": "qr_count"}),
        ([CODE | {"size": 150}], {"/document/layers/0": "qr_unreadable"}),
        ([CODE | {"dark": "#CCCCCC"}], {"/document/layers/0": "qr_unreadable"}),
        (
            [CODE, {"type": "shape", "x": 230, "y": 900, "width": 90, "height": 300, "fill": "#000000"}],
            {"/document/layers/0": "qr_unreadable"},
        ),
    ],
    ids=["none", "two", "small", "pale", "covered"],
)
async def test_a_template_whose_code_would_not_be_read_is_not_kept(
    api: httpx.AsyncClient, layers: list[dict[str, Any]], faults: dict[str, str]
) -> None:
    status, code, found = await refused(api, {"background": {"paint": BLUE}, "layers": layers})
    assert (status, code) == (422, "poster_template_check_failed")
    assert found == faults
    assert (await api.get(PATH)).json()["data"] == []


async def test_what_only_looks_bad_is_a_warning(api: httpx.AsyncClient) -> None:
    long = {"type": "text", "x": 0, "y": 0, "width": 80, "text": "一行放不下的文字", "size": 40}
    made = await make_template(api, document(long))
    assert [(warning["code"], warning["pointer"]) for warning in made["warnings"]] == [("text_cut", "/layers/0")]
    assert all(warning["detail"] for warning in made["warnings"])
    mended = await api.patch(f"{PATH}/{made['id']}", json={"document": document(long | {"width": 600})})
    assert mended.json()["warnings"] == []


async def test_pictures_are_own_assets_by_their_ids(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    mine, foreign = [await make_asset(client, "#E0C010", "background") for client in (api, live_api)]
    given = {"background": {"paint": BLUE, "asset": mine["id"]}, "layers": [CODE]}
    template = await make_template(api, given)
    assert is_coloured(await api.post(f"{PATH}/{template['id']}/preview", json={}), "#E0C010")
    for unknown in (foreign["id"], ids.new("ast"), "ast_x", "../../etc/passwd"):
        faults = await refused(api, {"background": {"paint": BLUE, "asset": unknown}, "layers": [CODE]})
        assert faults == (422, "poster_template_invalid", {"/document/background/asset": "asset_missing"})


async def test_each_change_is_another_version_and_none_is_none(api: httpx.AsyncClient) -> None:
    made = await make_template(api)
    path = f"{PATH}/{made['id']}"
    renamed = (await api.patch(path, json={"name": "夏季"})).json()
    assert (renamed["version"], renamed["name"], renamed["document"]) == (2, "夏季", made["document"])
    redrawn = (await api.patch(path, json={"document": document(colour=GREEN)})).json()
    assert (redrawn["version"], redrawn["name"]) == (3, "夏季")
    for nothing in ({}, {"name": "夏季"}, {"document": document(colour=GREEN)}):
        assert (await api.patch(path, json=nothing)).json()["version"] == 3
    assert (await api.get(path)).json() == redrawn


async def test_a_refused_change_changes_nothing(api: httpx.AsyncClient) -> None:
    made = await make_template(api)
    path = f"{PATH}/{made['id']}"
    wrongs: list[dict[str, Any]] = [{"document": {}}, {"document": document(CODE)}, {"name": None}, {"nmae": "x"}]
    for wrong in wrongs:
        assert (await api.patch(path, json={"metadata": {"a": 1}, **wrong})).status_code == 422
    assert (await api.get(path)).json() == made


async def test_of_rival_changes_each_is_counted(api: httpx.AsyncClient) -> None:
    made = await make_template(api)
    names = [f"第{number}稿" for number in range(6)]
    answers = await asyncio.gather(*(api.patch(f"{PATH}/{made['id']}", json={"name": name}) for name in names))
    assert sorted(answer.json()["version"] for answer in answers) == [2, 3, 4, 5, 6, 7]


async def test_a_foreign_template_is_as_none(api: httpx.AsyncClient, live_api: httpx.AsyncClient) -> None:
    theirs = await make_template(live_api)
    for template_id in (theirs["id"], ids.new("tpl"), "tpl_x", "merchant_registration"):
        for answer in (
            await api.get(f"{PATH}/{template_id}"),
            await api.patch(f"{PATH}/{template_id}", json={"name": "x"}),
            await api.patch(f"{PATH}/{template_id}", json={"document": document()}),
            await api.post(f"{PATH}/{template_id}/preview", json={}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "poster_template_not_found")
    assert (await api.patch(f"{PATH}/distribution", json={"name": "x"})).status_code == 404


async def test_the_builtin_templates_are_listed_apart_and_drawn(api: httpx.AsyncClient) -> None:
    listed = (await api.get(f"{PATH}/builtin")).json()
    assert [(template["id"], template["builtin"]) for template in listed["data"]] == [
        ("distribution", True),
        ("refer_a_friend", True),
        ("milestone", True),
    ]
    assert (await api.get(PATH)).json()["data"] == []
    for template in listed["data"]:
        assert (await api.get(f"{PATH}/{template['id']}")).json() == template
        drawn = await api.post(f"{PATH}/{template['id']}/preview", json={})
        assert (drawn.headers["content-type"], opened(drawn).size) == ("image/jpeg", (750, 1334))


async def test_a_preview_shows_what_it_is_asked_to(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, status="draft")
    asset = await make_asset(api, "#D01010")
    template = await make_template(api, document({"type": "avatar", "x": 20, "y": 20, "size": 200, "shape": "square"}))
    path = f"{PATH}/{template['id']}/preview"
    plain = await api.post(path, json={})
    wishes = {"nickname": "小红🍵", "avatar_asset_id": asset["id"], "campaign_id": campaign.id, "format": "png"}
    shown = await api.post(path, json=wishes)
    assert shown.headers["content-type"] == "image/png"
    assert is_coloured(shown, "#D01010", (120, 120))
    assert not is_coloured(plain, "#D01010", (120, 120))
    assert read_back(shown.content) == ["https://t.invitree.cn/i/8a2b3c4d?s=qr"]
    again = await api.post(path, json=wishes, headers={"Idempotency-Key": "k1"})
    assert again.content == shown.content
    foreign = await make_asset(live_api)
    for wish, code in (
        ({"avatar_asset_id": foreign["id"]}, "asset_not_found"),
        ({"campaign_id": ids.new("cmp")}, "campaign_not_found"),
    ):
        missing = await api.post(path, json=wish)
        assert (missing.status_code, missing.json()["code"]) == (404, code)


async def test_a_campaign_that_has_no_version_yet_shows_every_change_of_its_first_template(
    api: httpx.AsyncClient, http: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    first, second = await make_template(api), await make_template(api, document(colour=GREEN))
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, poster_template_ids=[first["id"], second["id"]])
        participant = await make_participant(session, campaign)
    path = f"/p/{participant.invite_code}.jpg"
    before = await http.get(path)
    assert is_coloured(before, BLUE)
    await api.patch(f"{PATH}/{first['id']}", json={"document": document(colour="#702080")})
    after = await http.get(path, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert is_coloured(after, "#702080")
    assert read_back(after.content) == [f"https://t.invitree.cn/i/{participant.invite_code}?s=qr"]


async def test_a_published_campaign_keeps_its_version_until_it_is_told(
    api: httpx.AsyncClient, http: httpx.AsyncClient, resources: Resources
) -> None:
    made = await make_template(api)
    mine = {"poster_template_ids": [made["id"], "distribution"]}
    campaign = (await api.post("/v1/campaigns", json={"name": "春季", "kind": "refer_a_friend", **mine})).json()
    path = f"/v1/campaigns/{campaign['id']}"
    assert campaign["poster_template_versions"] == {}
    await api.patch(f"{PATH}/{made['id']}", json={"document": document(colour=GREEN)})
    published = (await api.post(f"{path}/publish")).json()
    assert published["poster_template_versions"] == {made["id"]: 2}
    person = (await api.post(f"{path}/participants", json={"member": {"external_id": "u-1"}})).json()
    before = await http.get(person["poster_url"])
    assert is_coloured(before, GREEN)
    await api.patch(f"{PATH}/{made['id']}", json={"document": document(colour=BLUE)})
    known = {"If-None-Match": before.headers["etag"]}
    assert (await http.get(person["poster_url"], headers=known)).status_code == 304
    job = (await api.post(f"{path}/posters", json={"all": True, "template_id": made["id"]})).json()
    async with resources.db.system() as session:
        assert (await session.scalars(select(Job.input).where(Job.id == job["id"]))).one()["template_version"] == 2
    await api.patch(path, json={"rules_text": "春季活动规则"})
    assert (await http.get(person["poster_url"], headers=known)).status_code == 304
    told = (await api.patch(path, json=mine)).json()
    assert told["poster_template_versions"] == {made["id"]: 3}
    assert is_coloured(await http.get(person["poster_url"], headers=known), BLUE)


async def test_every_version_of_a_template_stays_as_it_was(api: httpx.AsyncClient) -> None:
    made = await make_template(api)
    path = f"{PATH}/{made['id']}"
    changed = (await api.patch(path, json={"document": document(colour=GREEN)})).json()
    assert changed["version"] == 2
    first, second = [(await api.get(path, params={"version": number})).json() for number in (1, 2)]
    assert (first["version"], first["document"]) == (1, made["document"])
    assert second == (await api.get(path)).json()
    missing = await api.get(path, params={"version": 3})
    assert (missing.status_code, missing.json()["code"]) == (404, "poster_template_not_found")


async def test_a_version_is_made_ready_once_and_another_one_apart(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    made = await make_template(api)

    async def ready(merchant_id: str, version: int | None = None) -> Template:
        async with resources.db.tenant(merchant_id) as session:
            return await templates.find(session, merchant_id=merchant_id, template_id=made["id"], version=version)

    first = await ready(merchant.test_id)
    assert await ready(merchant.test_id) is first
    await api.patch(f"{PATH}/{made['id']}", json={"document": document(colour=GREEN)})
    second = await ready(merchant.test_id)
    assert second != first
    assert await ready(merchant.test_id, 1) is first
    assert await ready(merchant.test_id, 2) is second
    with pytest.raises(NotFound):
        await ready(merchant.live_id)


async def test_a_template_is_made_once_for_its_key(api: httpx.AsyncClient) -> None:
    body, key = {"name": "春季", "document": document()}, {"Idempotency-Key": "k1"}
    first, again = [await api.post(PATH, json=body, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await api.get(PATH)).json()["data"]) == 1


async def test_a_template_that_takes_minutes_to_draw_is_refused(
    api: httpx.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = Renderer(workers=1, seconds=0.05)
    monkeypatch.setattr(resources, "renderer", hasty)
    glow = {"type": "shape", "x": 0, "y": 0, "width": 4000, "height": 4000, "fill": "#000000", "blur": 200}
    assert (await refused(api, document(*[glow] * 40)))[:2] == (422, "poster_template_too_slow")
    await hasty.close()


@pytest.mark.parametrize(
    "sent", [b"", b"[]", b'{"name": "x"}', b'{"name": "x", "document": []}', b'{"name": "x", "document": "text"}']
)
async def test_a_body_that_is_no_template_is_refused(api: httpx.AsyncClient, sent: bytes) -> None:
    answer = await api.post(PATH, content=sent, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_only_a_key_that_may_write_makes_templates(http: httpx.AsyncClient) -> None:
    for method, path in (("POST", PATH), ("GET", PATH), ("GET", f"{PATH}/builtin"), ("POST", f"{PATH}/x/preview")):
        assert (await http.request(method, path, json={})).status_code in {401, 422}
    assert (await http.post(PATH, json={"name": "x", "document": document()})).status_code == 401
