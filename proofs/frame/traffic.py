"""Mixed load by many clients at once, a fifth of it sent again, and a diary of what was asked and acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.kit import clock, ids
from app.models import Campaign, Participant
from proofs.frame.diary import Book, Diary, Redirect
from proofs.frame.lines import BROKEN, Answer, Line
from proofs.frame.stage import Stage
from tests.factories import MerchantFixture, make_campaign, make_merchant, make_participant

AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.47 NetType/WIFI Language/zh_CN"
BOT = "Mozilla/5.0 (compatible; Baiduspider/2.0)"
CHANNELS = (None, "moments", "wechat-group", "poster", "sms")
KINDS = ("click", "scan", "view", "share")
REPEATED = 0.2
# What a client sends again until it is told what became of it.
AGAIN = frozenset({409, 429, 500, 502, 503, 504})
EVERYTHING = {"visit": 60, "events": 18, "signup": 12, "order": 6, "refund": 4}
TRACKING = {"visit": 70, "events": 30}


@dataclass(frozen=True, slots=True)
class Scene:
    """An active campaign of a test tenant, with inviters three levels deep."""

    merchant: MerchantFixture
    campaign: Campaign
    inviters: Sequence[Participant]

    @property
    def key(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.merchant.test_key}"}


async def open_scene(stage: Stage, *, inviters: int = 24) -> Scene:
    """The campaign began three days ago, so that late events count in their own hour."""
    merchant = await make_merchant(stage.resources)
    async with stage.resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, starts_at=clock.utcnow() - timedelta(days=3))
        found: list[Participant] = []
        for number in range(inviters):
            above = found[number // 3 - 1] if number >= 3 else None
            found.append(await make_participant(session, campaign, inviter=above))
    return Scene(merchant, campaign, found)


@dataclass(slots=True)
class Traffic:
    """`mix`: weights of visit, events, signup, order, refund. `pause`: seconds that a client thinks, on average.

    `patience`: seconds until a client gives a request up; `insistence`: until it stops sending the same again.
    """

    scene: Scene
    addresses: Sequence[str]
    connections: int = 24
    mix: Mapping[str, int] = field(default_factory=lambda: EVERYTHING)
    pause: float = 0.02
    patience: float = 5.0
    insistence: float = 30.0
    seed: int = 1
    diary: Diary = field(default_factory=Diary)
    stopping: bool = False

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[Diary]:
        """Until the end of the context; what is under way then is still seen to its end."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.connections):
                group.create_task(Client(self, number).live())
            try:
                yield self.diary
            finally:
                self.stopping = True

    async def settle(self, count: int) -> Diary:
        """As many actions, one after the other by each client, and no pauses."""
        clients = [Client(self, number) for number in range(self.connections)]

        async def act(client: Client, times: int) -> None:
            with contextlib.closing(client):
                for _ in range(times):
                    await client.act()

        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(act(client, count // self.connections))
        return self.diary


class Client:
    """One connection, and the few people who share it."""

    def __init__(self, traffic: Traffic, number: int) -> None:
        self.traffic, self.diary, self.scene = traffic, traffic.diary, traffic.scene
        self.dice = random.Random(traffic.seed * 10_007 + number)
        self.number, self.line = number, self._dial(number)
        self.cookies: list[str | None] = [None] * 3
        self.sold: list[tuple[str, int]] = []

    def _dial(self, number: int) -> Line:
        addresses = self.traffic.addresses
        return Line(addresses[number % len(addresses)], patience=self.traffic.patience)

    def close(self) -> None:
        self.line.close()

    async def live(self) -> None:
        with contextlib.closing(self):
            while not self.traffic.stopping:
                await self.act()
                await asyncio.sleep(self.dice.expovariate(1) * self.traffic.pause)

    async def act(self) -> None:
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "visit": self.visit,
            "events": self.hand_in_events,
            "signup": self.sign_up,
            "order": self.order,
            "refund": self.refund,
        }
        mix = self.traffic.mix
        (name,) = self.dice.choices(list(mix), list(mix.values()))
        await actions[name]()

    async def visit(self) -> None:
        """A link is opened; reloaded by some, and by whoever got no answer. Each loading is an event of its own."""
        person = self.dice.randrange(len(self.cookies))
        target, counter = self._target()
        for _ in range(2):
            answer = await self._open(target, counter, person)
            if answer is not None and self.dice.random() >= REPEATED:
                return
            self.diary.repeats += 1

    def _target(self) -> tuple[str, str]:
        code = self.dice.choice(self.scene.inviters).invite_code
        channel, scan = self.dice.choice(CHANNELS), self.dice.random() < 0.3
        query = "&".join([*(["s=qr"] if scan else []), *([f"ch={channel}"] if channel else [])])
        return f"/i/{code}{'?' if query else ''}{query}", "scans" if scan else "clicks"

    async def _open(self, target: str, counter: str, person: int) -> Answer | None:
        cookie = self.cookies[person]
        headers = {"User-Agent": AGENT} | ({"Cookie": cookie} if cookie else {})
        self.diary.attempts[counter] += 1
        self.diary.visits_tried += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self._ask("visit", self.line.get(target, headers))
        if answer is None:
            return None
        event_id = answer.headers.get("event-id")
        ended = loop.time()
        self.diary.redirects.append(Redirect(ended, ended - began, answer.status, event_id is not None))
        if event_id is not None:
            self.diary.visits.add(ids.decode("evt", event_id))
            self.diary.told[counter] += 1
        if "set-cookie" in answer.headers and self.dice.random() < 0.7:  # others drop it, as in-app browsers do
            self.cookies[person] = answer.headers["set-cookie"].partition(";")[0]
        return answer

    async def hand_in_events(self) -> None:
        events = [self._event() for _ in range(self.dice.randint(1, 30))]
        counters = {event["event_id"]: _counter(event) for event in events}
        self.diary.events.tried.update(counters)

        def note() -> None:
            self.diary.attempts.update(counters.values())

        answer = await self._insist("events", "/v1/events", events, self.scene.key, note)
        for item in answer.json()["data"] if answer is not None else ():
            self._note_item(item, counters)

    def _event(self) -> dict[str, Any]:
        event = {
            "event_id": f"e-{self.dice.getrandbits(96):x}",
            "type": self.dice.choice(KINDS),
            "invite_code": self.dice.choice(self.scene.inviters).invite_code,
            "user_agent": BOT if self.dice.random() < 0.1 else AGENT,
            "occurred_at": (clock.utcnow() - timedelta(hours=self.dice.choice((0, 0, 0, 1, 5, 26)))).isoformat(),
        }
        if self.dice.random() < 0.7:
            event["visitor_id"] = f"device-{self.dice.randrange(200)}"
        if channel := self.dice.choice(CHANNELS):
            event["channel"] = channel
        return event

    def _note_item(self, item: Mapping[str, Any], counters: Mapping[str, str]) -> None:
        name = item["event_id"]
        if item["status"] == "rejected":
            self.diary.faults.append(f"an event was rejected: {item}")
        elif name not in self.diary.events.told:
            self.diary.events.told[name] = item["status"]
            self.diary.told[counters[name]] += 1

    async def sign_up(self) -> None:
        phone = f"+86139{self.dice.randrange(10**8):08d}"
        body = {
            "campaign_id": self.scene.campaign.id,
            "member": {"phone": phone},
            "invite_code": self.dice.choice(self.scene.inviters).invite_code,
        }
        await self._make(
            "signup", "/v1/signups", phone, body, self.diary.signups, lambda made: made["participant"]["id"]
        )

    async def order(self) -> None:
        amount, name = self.dice.randrange(1_000, 20_000), f"o-{self.dice.getrandbits(96):x}"
        body = {
            "campaign_id": self.scene.campaign.id,
            "participant_id": self.dice.choice(self.scene.inviters).id,
            "external_order_id": name,
            "amount_minor": amount,
            "currency": "CNY",
            "paid_at": (clock.utcnow() - timedelta(minutes=1)).isoformat(),
        }
        await self._make("order", "/v1/orders", name, body, self.diary.orders, lambda made: made["id"])
        if name in self.diary.orders.told:
            self.sold.append((name, amount))

    async def refund(self) -> None:
        """A part of an order that was acknowledged to this client, each order once."""
        if not self.sold:
            return
        order, amount = self.sold.pop()
        name = f"r-{self.dice.getrandbits(96):x}"
        body = {
            "external_order_id": order,
            "external_refund_id": name,
            "amount_minor": self.dice.choice((amount, amount // 2, 1)),
        }
        await self._make("refund", "/v1/refunds", name, body, self.diary.refunds, lambda made: made["id"])

    async def _make(
        self, kind: str, path: str, name: str, body: Mapping[str, Any], book: Book, id_of: Callable[[Any], str]
    ) -> None:
        """With one idempotency key for all tries, or another each time: the client's own id must do as well."""
        book.tried.add(name)
        same_key = self.dice.random() < 0.5
        key = ids.new("key")

        def headers() -> Mapping[str, str]:
            return {**self.scene.key, "Idempotency-Key": key if same_key else ids.new("key")}

        answer = await self._insist(
            kind, path, body, headers, lambda: None, lambda made: book.told.setdefault(name, made), id_of
        )
        if answer is not None and answer.status not in {200, 201}:
            self.diary.faults.append(f"{kind} answered {answer.status}: {answer.body[:200]!r}")

    async def _insist(
        self,
        kind: str,
        path: str,
        body: Any,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]],
        note: Callable[[], None],
        keep: Callable[[str], str] | None = None,
        id_of: Callable[[Any], str] | None = None,
    ) -> Answer | None:
        """The first good answer. Sent again while there is none, and now and then although there is one."""
        content = json.dumps(body).encode()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.traffic.insistence
        first: Answer | None = None
        while loop.time() < deadline:
            note()
            given = headers() if callable(headers) else headers
            answer = await self._ask(kind, self.line.post(path, given, content))
            if answer is not None and answer.status not in AGAIN:
                self._compare(kind, answer, keep, id_of)
                if first is not None or self.dice.random() >= REPEATED:
                    return first or answer
                first = answer
            elif first is not None:
                return first
            else:
                await asyncio.sleep(0.05)
            self.diary.repeats += 1
        return first

    def _compare(
        self, kind: str, answer: Answer, keep: Callable[[str], str] | None, id_of: Callable[[Any], str] | None
    ) -> None:
        """Whatever was told first is what every later answer names, too."""
        if keep is None or id_of is None or answer.status not in {200, 201}:
            return
        made = id_of(answer.json())
        if keep(made) != made:
            self.diary.faults.append(f"{kind} was made twice: {made}")

    async def _ask(self, kind: str, asking: Awaitable[Answer]) -> Answer | None:
        """None where no answer came."""
        self.diary.requests[kind] += 1
        try:
            answer = await asking
        except BROKEN as error:
            self.diary.broken[type(error).__name__] += 1
            # As a balancer does: on to the next server, without hammering on a closed door.
            self.number += 1
            self.line = self._dial(self.number)
            await asyncio.sleep(0.02)
            return None
        self.diary.statuses[answer.status] += 1
        return answer


def _counter(event: Mapping[str, Any]) -> str:
    return "bot_hits" if event["user_agent"] == BOT else f"{event['type']}s"
