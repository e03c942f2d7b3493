"""Who opens links: a campaign with many participants, a few of them far ahead, and the phones of their friends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from sqlalchemy import insert, text

from app.kit import ids
from app.models import Member, Participant
from app.referrals import rules
from proofs.frame.stage import Stage
from tests.factories import MerchantFixture, make_campaign, make_merchant

PEOPLE = 2_000
_PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS {ios} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
)
_ROBOT = "Mozilla/5.0 (Linux; Android {android}; {model}) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
# Weights as of a campaign that lives in WeChat; one in fifty is a crawler.
AGENTS = (
    (34, _PHONE + " MicroMessenger/8.0.{minor}(0x18003{minor}) NetType/{net} Language/zh_CN"),
    (
        38,
        _ROBOT + " Chrome/126.0.{minor}.45 Mobile Safari/537.36 XWEB/1260{minor} MMWEBSDK/20240404 MMWEBID/{minor}"
        " MicroMessenger/8.0.{minor}.2600(0x28003{minor}) WeChat/arm64 Weixin NetType/{net} Language/zh_CN ABI/arm64",
    ),
    (6, _PHONE + " AlipayClient/10.6.{minor}.6000 Language/zh-Hans"),
    (6, _ROBOT + " Chrome/116.0.{minor}.0 Mobile Safari/537.36 aweme_{minor}00 JsSdk/1.0 NetType/{net}"),
    (5, _PHONE + " QQ/9.1.{minor}.601 V1_IPH_SQ_9.1.{minor} NetType/{net}"),
    (9, _PHONE + " Version/17.{minor} Safari/604.1"),
    (2, "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"),
)
CRAWLER = AGENTS[-1][1]
CHANNELS = ("moments", "group", "poster", "weibo")
IOS, ANDROID, NETS = ("16_6", "17_0", "17_5_1", "18_1"), ("12", "13", "14"), ("WIFI", "4G", "5G")
MODELS = ("22081212C", "V2227A", "PGBM10", "ALN-AL00", "LYA-AL00", "SM-S9180")


@dataclass(frozen=True, slots=True)
class Crowd:
    merchant: MerchantFixture
    campaign_id: str
    participant_ids: Sequence[str]
    codes: Sequence[str]

    def draw(self, dice: random.Random, count: int) -> list[int]:
        """Places of participants: the n-th is drawn half as often as the n/2-th."""
        weights = [1 / (place + 1) for place in range(len(self.codes))]
        return dice.choices(range(len(self.codes)), weights, k=count)


async def gather_crowd(stage: Stage, people: int = PEOPLE) -> Crowd:
    merchant = await make_merchant(stage.resources)
    async with stage.resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        drawn = text("SELECT nextval('participant_numbers') FROM generate_series(1, :people)")
        numbers = (await session.scalars(drawn, {"people": people})).all()
        members = [{"merchant_id": merchant.test_id, "id": ids.new("mbr"), "nickname": "小明"} for _ in numbers]
        rows = [
            {
                "merchant_id": merchant.test_id,
                "id": ids.new("ptc"),
                "campaign_id": campaign.id,
                "member_id": member["id"],
                "invite_code": ids.new_invite_code(),
                "number": number,
                "depth": 0,
                "path": rules.segment(number),
            }
            for number, member in zip(numbers, members, strict=True)
        ]
        await session.execute(insert(Member), members)
        await session.execute(insert(Participant), rows)
    return Crowd(merchant, campaign.id, [row["id"] for row in rows], [row["invite_code"] for row in rows])


def draw_agent(dice: random.Random) -> str:
    weights, agents = zip(*AGENTS, strict=True)
    return str(dice.choices(agents, weights)[0]).format(
        ios=dice.choice(IOS),
        android=dice.choice(ANDROID),
        model=dice.choice(MODELS),
        minor=dice.randrange(30, 60),
        net=dice.choice(NETS),
    )


def draw_address(dice: random.Random) -> str:
    return f"{dice.randrange(36, 224)}.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"


async def collect_cookies(base_url: str, code: str, dice: random.Random, count: int) -> list[tuple[str, str]]:
    """`(agent, cookie)` of people who have been there; each is one more event of `code`."""
    found: list[tuple[str, str]] = []
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
        while len(found) < count:
            agent = draw_agent(dice)
            headers = {"User-Agent": agent, "X-Forwarded-For": draw_address(dice)}
            cookie = (await client.get(f"/i/{code}", headers=headers)).headers.get("set-cookie")
            client.cookies.clear()
            if cookie:
                found.append((agent, cookie.partition(";")[0]))
    return found
