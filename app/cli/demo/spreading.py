"""Second act: the campaign spreads. Scans with repeats and bots, signups wave by wave, orders, refunds."""

from __future__ import annotations

from typing import Any

from app.cli.demo.account import Node, Purchase
from app.cli.demo.client import each
from app.cli.demo.people import Person, draw_avatar, make_person
from app.cli.demo.stage import Stage
from app.kit import ids

WECHAT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 MicroMessenger/8.0.54 NetType/WIFI"
)
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0)",
    "facebookexternalhit/1.1",
)
WAVES = 6
BATCH = 500
HUB_FRIENDS = 14  # one promoter with more friends than the cap of days allows


async def spread(stage: Stage) -> None:
    """Each wave joins through someone of the waves before, so that the tree grows several levels deep."""
    people = [make_person(len(stage.account.nodes) + n, stage.rng) for n in range(stage.people)]
    with stage.act("好友报名 · signups", len(people)) as done:
        size = -(-len(people) // WAVES)
        for start in range(0, len(people), size):
            wave = people[start : start + size]
            inviters = _inviters(stage, len(wave), first=start == 0)
            pairs = list(zip(wave, inviters, strict=True))
            stage.account.nodes += await each(pairs, lambda pair: _sign_up(stage, *pair), done)


def _inviters(stage: Stage, count: int, *, first: bool) -> list[Node]:
    """Mostly the newest, so that chains grow; the first promoter gathers more friends than its cap."""
    nodes = stage.account.nodes
    hub = [nodes[0]] * min(HUB_FRIENDS, count) if first else []
    recent = nodes[-max(8, len(nodes) // 3) :]
    return [*hub, *(stage.rng.choice(recent) for _ in range(count - len(hub)))]


async def _sign_up(stage: Stage, person: Person, inviter: Node) -> Node:
    member: dict[str, Any] = {
        "external_id": person.external_id,
        "phone": person.phone,
        "nickname": person.nickname,
    }
    if stage.rng.random() < 0.15:
        asset = await stage.api.upload("/v1/assets", draw_avatar(stage.rng), purpose="avatar")
        member["avatar_asset_id"] = asset["id"]
    body = {"campaign_id": stage.campaign["id"], "member": member, "invite_code": inviter.invite_code}
    made = (await stage.api.post("/v1/signups", body))["participant"]
    return Node(made["id"], made["member_id"], made["invite_code"], person.nickname, inviter, invited=True)


async def scan_posters(stage: Stage, count: int) -> None:
    """Real redirects, as phones follow them; every visitor's agent is its own, and some come twice."""
    hits = [_hit(stage, number) for number in range(count)]
    with stage.act("扫码与点击 · GET /i/…", count) as done:
        await each(hits, lambda hit: _follow(stage, *hit), done)


def _hit(stage: Stage, number: int) -> tuple[Node, str, str]:
    node = stage.rng.choice(stage.account.nodes)
    if number % 12 == 0:
        return node, "bot", stage.rng.choice(BOTS)
    return node, stage.rng.choice(("scan", "scan", "click")), f"{WECHAT} Visitor/{stage.rng.randrange(number + 40)}"


async def _follow(stage: Stage, node: Node, kind: str, agent: str) -> None:
    path = f"/i/{node.invite_code}" + ("?s=qr" if kind == "scan" else "")
    answer = await stage.http.get(path, headers={"User-Agent": agent, "Cookie": ""}, follow_redirects=False)
    assert answer.status_code == 302, answer.text  # noqa: S101  # a link always redirects
    if kind == "bot":
        stage.account.bots[node.invite_code] += 1
    else:
        stage.account.saw(node.invite_code, kind, f"agent:{agent}")


async def report_events(stage: Stage, count: int) -> None:
    """What a merchant's own app saw, in batches; some batches are sent twice, as after a lost answer."""
    events = [_event(stage) for _ in range(count)]
    batches = [events[start : start + BATCH] for start in range(0, count, BATCH)]
    batches += batches[:1]
    with stage.act("应用上报 · POST /v1/events", len(batches)) as done:
        for batch in batches:
            await stage.api.post("/v1/events", batch)
            done()


def _event(stage: Stage) -> dict[str, Any]:
    node = stage.rng.choice(stage.account.nodes)
    kind = stage.rng.choice(("scan", "scan", "click"))
    visitor = f"visitor-{stage.rng.randrange(2_000)}"
    stage.account.saw(node.invite_code, kind, visitor)
    return {
        "event_id": ids.new("evt"),
        "type": kind,
        "invite_code": node.invite_code,
        "visitor_id": visitor,
        "user_agent": WECHAT,
        "channel": stage.rng.choice(("moments", "group", "chat")),
    }


async def buy(stage: Stage) -> None:
    buyers = [node for node in stage.account.nodes if node.invited and stage.rng.random() < 0.6]
    await order(stage, "下单付款 · orders", buyers)


async def order(stage: Stage, title: str, buyers: list[Node]) -> None:
    """As the merchant's own shop reports them."""
    first = len(stage.account.purchases)
    with stage.act(title, len(buyers)) as done:
        stage.account.purchases += await each(enumerate(buyers, first), lambda numbered: _buy(stage, *numbered), done)


async def _buy(stage: Stage, number: int, node: Node) -> Purchase:
    body = {
        "campaign_id": stage.campaign["id"],
        "participant_id": node.participant_id,
        "external_order_id": f"order-{number:05d}",
        "amount_minor": 5_900,
        "currency": "CNY",
        "paid_at": stage.now.isoformat(),
        "shipping_minor": 0,
    }
    made = await stage.api.post("/v1/orders", body)
    return Purchase(made["id"], node, made["amount_minor"], stage.fee_bps)


async def refund(stage: Stage, *, share: float, amounts: tuple[int, ...], after_payout: bool = False) -> None:
    """Some orders, in whole or in part."""
    open_purchases = [p for p in stage.account.purchases if not p.refunded_minor]
    chosen = stage.rng.sample(open_purchases, max(len(amounts), int(len(open_purchases) * share)))
    title = "打款后退款 · late refunds" if after_payout else "部分退款 · refunds"
    with stage.act(title, len(chosen)) as done:
        for number, purchase in enumerate(chosen):
            await take_back(stage, purchase, amounts[number % len(amounts)])
            done()


async def take_back(stage: Stage, purchase: Purchase, amount_minor: int) -> None:
    body = {"external_refund_id": f"refund-{purchase.order_id[-8:]}", "amount_minor": amount_minor}
    await stage.api.post(f"/v1/orders/{purchase.order_id}/refunds", body)
    purchase.refunded_minor += amount_minor
