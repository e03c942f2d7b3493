"""Pictures behind addresses: fetched beside the request, never from where strangers must not reach."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest
from sqlalchemy import func, select, update

from app.kit import outward
from app.kit.addresses import Address
from app.models import AvatarFetch, Member
from app.poster.process import DrawingFault
from app.referrals import avatars, fetching
from app.referrals.fetching import FetchError
from app.resources import Resources
from app.worker.avatars import fetch_avatars
from tests.factories import MerchantFixture, make_campaign
from tests.factories.pictures import make_asset, picture

PATH = "/me.png"
Served = tuple[int, dict[str, str], bytes]


@dataclass(slots=True)
class Host:
    """Answers by path; what it does not know is 404."""

    port: int = 0
    answers: dict[str, Served] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str = PATH) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, content: bytes, path: str = PATH, *, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (status, {"content-type": "image/png"} | named, content)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
        self.asked.append(path)
        status, headers, content = self.answers.get(path, (404, {}, b""))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        writer.close()


@pytest.fixture
async def host(resources: Resources) -> AsyncIterator[Host]:
    """With nothing of other tests left to fetch."""
    async with resources.db.system() as session:
        await session.execute(update(AvatarFetch).values(due_at=None))
    host = Host()
    server = await asyncio.start_server(host.take, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    async with server:
        yield host


@pytest.fixture
async def campaign_id(resources: Resources, merchant: MerchantFixture) -> str:
    async with resources.db.tenant(merchant.test_id) as session:
        return (await make_campaign(session, merchant.test_id, poster_avatars=True)).id


async def join(api: httpx.AsyncClient, campaign_id: str, **member: str) -> str:
    """The address of the poster."""
    person = {"external_id": "u-1", "nickname": "小明", **member}
    answer = await api.post(f"/v1/campaigns/{campaign_id}/participants", json={"member": person})
    assert answer.is_success, answer.text
    return str(answer.json()["poster_url"])


async def waiting(resources: Resources, merchant: MerchantFixture) -> AvatarFetch | None:
    async with resources.db.tenant(merchant.test_id) as session:
        return await session.scalar(select(AvatarFetch))


async def asset_of(resources: Resources, merchant: MerchantFixture) -> str | None:
    async with resources.db.tenant(merchant.test_id) as session:
        return await session.scalar(select(Member.avatar_asset_id))


async def come_due(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        await session.execute(update(AvatarFetch).values(due_at=func.now()))


async def test_the_poster_comes_at_once_and_the_picture_when_it_arrives(
    api: httpx.AsyncClient,
    http: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    campaign_id: str,
    host: Host,
) -> None:
    host.serve(picture("#2030C8"))
    poster_url = await join(api, campaign_id, avatar_url=host.url())
    before = await http.get(poster_url)
    assert (before.status_code, host.asked) == (200, [])
    assert await fetch_avatars(resources) == 1
    after = await http.get(poster_url, headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, host.asked) == (200, [PATH])
    assert await waiting(resources, merchant) is None
    assert await fetch_avatars(resources) == 0


async def test_the_same_address_again_is_not_fetched_again_and_another_one_is(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, campaign_id: str, host: Host
) -> None:
    host.serve(picture("#2030C8"))
    host.serve(picture("#C83020"), "/new.png")
    found = []
    for path in (PATH, PATH, "/new.png"):
        await join(api, campaign_id, avatar_url=host.url(path))
        await fetch_avatars(resources)
        found.append(await asset_of(resources, merchant))
    assert host.asked == [PATH, "/new.png"]
    assert found[0] == found[1] != found[2]


async def test_a_chosen_picture_stands_against_one_that_is_still_to_be_fetched(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, campaign_id: str, host: Host
) -> None:
    host.serve(picture("#2030C8"))
    await join(api, campaign_id, avatar_url=host.url())
    asset = await make_asset(api, "#20C830")
    await join(api, campaign_id, avatar_asset_id=asset["id"])
    assert await fetch_avatars(resources) == 0
    assert await asset_of(resources, merchant) == asset["id"]


async def test_a_dead_host_is_asked_again_later_and_given_up_in_the_end(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, campaign_id: str, host: Host
) -> None:
    host.serve(b"", status=503)
    await join(api, campaign_id, avatar_url=host.url())
    for attempt in range(1, len(avatars.WAITS) + 2):
        assert await fetch_avatars(resources) == 1
        assert await fetch_avatars(resources) == 0
        row = await waiting(resources, merchant)
        assert row is not None
        assert (row.attempts, row.error) == (attempt, "The host answered 503.")
        assert (row.due_at is None) == (attempt > len(avatars.WAITS))
        if row.due_at is not None:
            await come_due(resources, merchant)
    assert len(host.asked) == len(avatars.WAITS) + 1


async def test_a_worker_that_died_leaves_its_claim_to_another_and_cannot_undo_it(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, campaign_id: str, host: Host
) -> None:
    host.serve(picture("#2030C8"))
    await join(api, campaign_id, avatar_url=host.url())
    async with resources.db.system() as session:
        [late] = await avatars.claim(session, limit=5, seconds=60)
    assert await fetch_avatars(resources) == 0
    await come_due(resources, merchant)
    assert await fetch_avatars(resources) == 1
    kept = await asset_of(resources, merchant)
    async with resources.db.system() as session:
        await avatars.fail(session, late, error="late", final=True)
        await avatars.keep(session, late, content=picture("#C83020", (256, 256), "JPEG"))
    assert kept is not None
    assert await asset_of(resources, merchant) == kept
    assert await waiting(resources, merchant) is None


async def test_two_workers_never_take_the_same_picture(
    api: httpx.AsyncClient, resources: Resources, campaign_id: str, host: Host
) -> None:
    await join(api, campaign_id, avatar_url=host.url())
    async with resources.db.system() as one, resources.db.system() as other:
        taken = [await avatars.claim(session, limit=5, seconds=60) for session in (one, other)]
    assert list(map(len, taken)) == [1, 0]


async def test_ten_thousand_pictures_of_one_merchant_keep_nobody_elses_waiting(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, host: Host
) -> None:
    campaigns = {}
    for merchant_id in (merchant.test_id, merchant.live_id):
        async with resources.db.tenant(merchant_id) as session:
            campaigns[merchant_id] = (await make_campaign(session, merchant_id)).id
    for number in range(8):
        await join(api, campaigns[merchant.test_id], external_id=f"many-{number}", avatar_url=host.url())
    for number in range(2):
        await join(live_api, campaigns[merchant.live_id], external_id=f"few-{number}", avatar_url=host.url())
    async with resources.db.system() as session:
        claims = await avatars.claim(session, limit=6, seconds=60)
    assert [claim.merchant_id for claim in claims].count(merchant.live_id) == 2
    assert len(claims) == 6


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, {}, b""), "The host answered 404."),
        ((200, {"content-type": "image/png"}, b"no picture"), "picture_format_unsupported: "),
        ((200, {"content-type": "image/png"}, b""), "picture_empty: "),
        ((200, {"content-type": "image/png"}, b"\x89PNG" + b"\0" * 5_300_000), "More than 5 MiB."),
        ((200, {"content-type": "text/html"}, picture()), "The host sent text/html, no picture."),
        ((200, {"content-type": "image/png", "content-encoding": "gzip"}, picture()), "The host sent image/png"),
        ((302, {"location": "/around"}, b""), "More than 3 redirects."),
        ((302, {"location": "file:///etc/passwd"}, b""), "The address leads to something else than http."),
    ],
    ids=["missing", "text", "nothing", "huge", "page", "compressed", "circle", "file"],
)
async def test_what_is_no_picture_is_not_asked_for_again(
    api: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    campaign_id: str,
    host: Host,
    answer: Served,
    error: str,
) -> None:
    host.answers = {PATH: answer, "/around": (302, {"location": "/around"}, b"")}
    await join(api, campaign_id, avatar_url=host.url())
    await fetch_avatars(resources)
    row = await waiting(resources, merchant)
    assert row is not None
    assert (row.due_at, await asset_of(resources, merchant)) == (None, None)
    assert row.error is not None
    assert row.error.startswith(error)


async def test_a_fault_of_ours_costs_no_other_picture_and_is_tried_again(
    api: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    campaign_id: str,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Faulty:
        """Fails with the picture that is named so, and gives the other one back."""

        async def normalise(self, content: bytes, _purpose: str) -> bytes:
            if content == b"faulty":
                raise DrawingFault("Traceback")
            return content

    host.serve(b"faulty", "/faulty.png")
    host.serve(picture("#2030C8", (256, 256), "JPEG"))
    await join(api, campaign_id, avatar_url=host.url("/faulty.png"))
    await join(api, campaign_id, external_id="u-2", avatar_url=host.url())
    with monkeypatch.context() as patch:
        patch.setattr(resources, "renderer", Faulty())
        assert await fetch_avatars(resources) == 2
    row = await waiting(resources, merchant)
    assert row is not None
    assert (row.url, row.error, row.due_at is None) == (host.url("/faulty.png"), "DrawingFault", False)
    async with resources.db.tenant(merchant.test_id) as session:
        kept = select(func.count()).where(Member.avatar_asset_id.is_not(None), Member.merchant_id == merchant.test_id)
        assert await session.scalar(kept) == 1


async def test_a_redirect_into_a_private_network_is_not_followed(host: Host) -> None:
    host.serve(b"", status=302, location="http://intra.example/secret.png")
    host.serve(picture(), "/secret.png")

    async def resolve(name: str, _port: int) -> list[Address]:
        return [ipaddress.ip_address("10.0.0.7" if name == "intra.example" else "127.0.0.1")]

    async with outward.new_client(5) as client:
        with pytest.raises(FetchError, match="does not lead to the public Internet") as raised:
            await fetching.fetch(client, host.url(), development=True, resolve=resolve)
        assert raised.value.final
        with pytest.raises(FetchError, match="does not lead to the public Internet"):
            await fetching.fetch(client, host.url(), development=False)
    assert host.asked == [PATH]


async def test_hosts_behind_one_address_share_no_connection() -> None:
    taken = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        taken += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1\r\n\r\nx")
        writer.close()

    async def resolve(_name: str, _port: int) -> list[Address]:
        return [ipaddress.ip_address("127.0.0.1")]

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server, outward.new_client(5) as client:
        port = server.sockets[0].getsockname()[1]
        for name in ("one.example", "other.example"):
            await fetching.fetch(client, f"http://{name}:{port}/", development=True, resolve=resolve)
    assert taken == 2


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 503])
async def test_a_refusal_that_may_pass_is_not_final(host: Host, status: int) -> None:
    host.serve(b"", status=status)
    async with outward.new_client(5) as client:
        with pytest.raises(FetchError) as raised:
            await fetching.fetch(client, host.url(), development=True)
    assert not raised.value.final


async def test_a_host_that_does_not_answer_is_tried_again() -> None:
    async with outward.new_client(5) as client:
        with pytest.raises(FetchError) as raised:
            await fetching.fetch(client, "http://127.0.0.1:1/", development=True)
    assert not raised.value.final
