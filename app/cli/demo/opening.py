"""First act: two merchants, one invited by the other; the campaign; its promoters."""

from __future__ import annotations

from typing import Any

from app.cli import gallery
from app.cli.demo.account import Node
from app.cli.demo.client import Api, each
from app.cli.demo.people import Person, draw_avatar, make_person
from app.cli.demo.stage import Merchant, Stage
from app.poster.renderer import Renderer

SEEDS = 8
CAMPAIGN = {
    "name": "案例集 + 年度会员",
    "kind": "distribution",
    "product": {"name": "100 个增长案例 + 年度会员", "price_minor": 5_900, "currency": "CNY"},
    "commission": {"levels": [{"level": 1, "rate_bps": 3_000}, {"level": 2, "rate_bps": 1_000}], "hold_days": 7},
    "rewards": [
        {"key": "inviter_days", "on": "phone_verified", "to": "inviter", "days": 30, "cap_days": 365},
        {"key": "invitee_days", "on": "signup", "to": "invitee", "days": 30},
    ],
    "landing": {
        "headline": "一本案例集，读懂 100 次增长",
        "subtitle": "含一年社群会员，印刷版包邮到家",
        "organiser": "清茶书社",
        "highlights": ["100 个真实裂变案例，全彩印刷", "一年社群会员，每周直播拆解", "邀请好友，双方各得 30 天会员"],
    },
    "rules_text": "本活动由清茶书社主办。推广免费，无需购买；佣金最多两级，按实际付款订单计算。",
    "poster_avatars": True,
}


async def register(stage: Stage) -> None:
    """The house loop: 清茶书社 registers, then 山间咖啡 with its code; both get 30 days on top."""
    with stage.act("商户注册 · merchants", 2) as done:
        for name in ("清茶书社", "山间咖啡"):
            code = stage.merchants[0].invite_code if stage.merchants else None
            stage.merchants.append(await _register(stage, name, code))
            done()


async def _register(stage: Stage, name: str, invite_code: str | None) -> Merchant:
    body: dict[str, Any] = {"name": name, "phone": make_person(0, stage.fresh).phone}
    if invite_code:
        body["invite_code"] = invite_code
    made = await Api(stage.http).post("/v1/merchants", body)
    live, test = Api(stage.http, made["secret_key"]), Api(stage.http, made["test_secret_key"])
    await live.post("/v1/merchant/verify", {"code": made["sandbox_code"]})
    own = await live.get("/v1/merchant")
    return Merchant(name, own["id"], own["twin_id"], live, test, made["test_secret_key"], own["invite_code"])


async def hang_posters(stage: Stage) -> None:
    """Every built-in poster, for people whose names are hard to draw."""
    renderer = Renderer()
    try:
        with stage.act("海报画廊 · gallery", gallery.count()) as done:
            stage.gallery = await gallery.write(renderer, stage.folder / "gallery", done)
    finally:
        await renderer.close()


async def publish(stage: Stage) -> None:
    with stage.act("创建并发布活动 · campaign", 3) as done:
        for role in ("finance", "owner"):
            user = await stage.api.post("/v1/merchant/users", {"name": f"{role} of the demo", "role": role})
            stage.users[role] = user["id"]
        draft = await stage.api.post("/v1/campaigns", CAMPAIGN)
        done()
        findings = await stage.api.post(f"/v1/campaigns/{draft['id']}/check")
        assert not findings["errors"], findings  # noqa: S101  # the play's own campaign is in order
        done()
        stage.campaign = await stage.api.post(f"/v1/campaigns/{draft['id']}/publish")
        done()


async def enrol_promoters(stage: Stage) -> None:
    """The first promoters, each with a picture avatar."""
    people = [make_person(number, stage.rng) for number in range(SEEDS)]
    with stage.act("首批推广人 · promoters", SEEDS) as done:
        stage.account.nodes += await each(people, lambda person: _promoter(stage, person), done)


async def _promoter(stage: Stage, person: Person) -> Node:
    asset = await stage.api.upload("/v1/assets", draw_avatar(stage.rng), purpose="avatar")
    member = {
        "external_id": person.external_id,
        "phone": person.phone,
        "nickname": person.nickname,
        "avatar_asset_id": asset["id"],
    }
    made = await stage.api.post(f"/v1/campaigns/{stage.campaign['id']}/participants", {"member": member})
    return Node(made["id"], made["member_id"], made["invite_code"], person.nickname, phone=person.phone)
