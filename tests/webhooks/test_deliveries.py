"""Deliveries through the real outbox to a real receiver. The outbox is everybody's, so each test drains it whole."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from standardwebhooks.webhooks import Webhook

from app.db import outbox
from app.db.outbox import OutboxEvent
from app.kit import clock, ids
from app.kit.addresses import Address
from app.models import WebhookDelivery, WebhookEndpoint
from app.resources import Resources
from app.webhooks import deliveries, rules, sending, signing
from app.worker import webhooks as worker
from tests.factories import MerchantFixture
from tests.webhooks.conftest import Receiver


async def subscribe(api: httpx.AsyncClient, receiver: Receiver, *types: str) -> str:
    answer = await api.post("/v1/webhook-endpoints", json={"url": receiver.url(), "types": list(types) or ["*"]})
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["secret"]
    return secret


async def emit(resources: Resources, merchant_id: str, type_: str = "order.paid") -> str:
    async with resources.db.tenant(merchant_id) as session:
        return await outbox.emit(session, merchant_id, type_, {"id": "ord_1", "name": "茶 🍵"}, at=clock.utcnow())


async def drain(resources: Resources) -> None:
    while await worker.fan_out(resources):
        pass
    while await worker.deliver(resources):
        pass


async def only_delivery(resources: Resources, event_id: str) -> WebhookDelivery:
    async with resources.db.system() as session:
        return (await session.scalars(select(WebhookDelivery).where(WebhookDelivery.event_id == event_id))).one()


async def make_due(resources: Resources, event_id: str) -> None:
    """As if the wait were over."""
    async with resources.db.system() as session:
        mine = update(WebhookDelivery).where(WebhookDelivery.event_id == event_id)
        await session.execute(mine.values(next_attempt_at=func.now()))


async def test_an_event_arrives_signed(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, receiver: Receiver
) -> None:
    secret = await subscribe(api, receiver)
    event_id = await emit(resources, merchant.test_id)
    await drain(resources)
    (call,) = receiver.calls
    message = Webhook(secret).verify(call.body, call.headers)
    assert call.head == "POST /hook HTTP/1.1"
    assert call.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert call.headers["webhook-id"] == event_id == message["id"]
    assert message["type"] == "order.paid"
    assert message["data"] == {"id": "ord_1", "name": "茶 🍵", "livemode": False}
    assert message["livemode"] is False
    delivery = await only_delivery(resources, event_id)
    assert (delivery.status, delivery.attempts, delivery.last_status) == ("delivered", 1, 200)


async def test_each_endpoint_gets_what_it_asked_for_and_nobody_elses(
    api: httpx.AsyncClient,
    live_api: httpx.AsyncClient,
    merchant: MerchantFixture,
    resources: Resources,
    receiver: Receiver,
) -> None:
    await subscribe(api, receiver, "payout.paid")
    await subscribe(live_api, receiver)
    await emit(resources, merchant.test_id, "order.paid")
    wanted = await emit(resources, merchant.test_id, "payout.paid")
    await drain(resources)
    assert [json.loads(call.body)["id"] for call in receiver.calls] == [wanted]


async def test_an_event_that_nobody_wants_is_finished(resources: Resources, merchant: MerchantFixture) -> None:
    event_id = await emit(resources, merchant.test_id)
    await drain(resources)
    async with resources.db.system() as session:
        event = (await session.scalars(select(OutboxEvent).where(OutboxEvent.id == event_id))).one()
    assert event.status == "done"
    assert event.done_at is not None


async def test_a_refusal_is_tried_again_under_the_same_id_with_the_same_body(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, receiver: Receiver
) -> None:
    await subscribe(api, receiver)
    receiver.statuses = [500, 302]
    event_id = await emit(resources, merchant.test_id)
    for _ in range(3):
        await drain(resources)
        await make_due(resources, event_id)
    assert len(receiver.calls) == 3
    assert {call.headers["webhook-id"] for call in receiver.calls} == {event_id}
    assert len({call.body for call in receiver.calls}) == 1
    delivery = await only_delivery(resources, event_id)
    assert (delivery.status, delivery.attempts) == ("delivered", 3)


async def test_a_refused_delivery_waits_before_it_is_tried_again(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, receiver: Receiver
) -> None:
    await subscribe(api, receiver)
    receiver.statuses = [503]
    event_id = await emit(resources, merchant.test_id)
    await drain(resources)
    delivery = await only_delivery(resources, event_id)
    assert (delivery.status, delivery.last_status) == ("pending", 503)
    assert delivery.next_attempt_at > clock.utcnow() + timedelta(seconds=3)
    assert len(receiver.calls) == 1


async def test_after_the_last_attempt_it_is_given_up_and_can_be_resent(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, receiver: Receiver
) -> None:
    await subscribe(api, receiver)
    receiver.statuses = [500] * rules.MAX_ATTEMPTS
    event_id = await emit(resources, merchant.test_id)
    for _ in range(rules.MAX_ATTEMPTS + 1):
        await drain(resources)
        await make_due(resources, event_id)
    assert len(receiver.calls) == rules.MAX_ATTEMPTS
    (shown,) = (await api.get("/v1/webhook-deliveries", params={"status": "failed"})).json()["data"]
    assert (shown["event_id"], shown["attempts"], shown["last_status"]) == (event_id, rules.MAX_ATTEMPTS, 500)
    again = await api.post(f"/v1/webhook-deliveries/{shown['id']}/resend")
    assert (again.status_code, again.json()["status"]) == (200, "pending")
    await drain(resources)
    assert (await only_delivery(resources, event_id)).status == "delivered"
    assert receiver.calls[-1].headers["webhook-id"] == event_id


async def test_what_a_killed_worker_held_is_delivered_by_the_next_under_the_same_id(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, receiver: Receiver
) -> None:
    await subscribe(api, receiver)
    event_id = await emit(resources, merchant.test_id)
    while await worker.fan_out(resources):  # behind whatever other tests left
        pass
    async with resources.db.system() as session:
        claimed = await deliveries.claim(session, limit=1_000, seconds=60)
    (lost,) = (attempt for attempt in claimed if attempt.event_id == event_id)
    await drain(resources)
    assert receiver.calls == []
    await make_due(resources, event_id)
    await drain(resources)
    assert [call.headers["webhook-id"] for call in receiver.calls] == [event_id]
    # The dead worker comes back late: its word counts no more.
    async with resources.db.system() as session:
        await deliveries.record(session, attempt=lost, outcome=deliveries.Outcome(status=500))
    delivery = await only_delivery(resources, event_id)
    assert (delivery.status, delivery.last_status) == ("delivered", 200)


async def test_two_workers_at_once_deliver_once(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, receiver: Receiver
) -> None:
    await subscribe(api, receiver)
    events = [await emit(resources, merchant.test_id) for _ in range(20)]
    await asyncio.gather(*(worker.fan_out(resources) for _ in range(3)))
    await asyncio.gather(*(drain(resources) for _ in range(3)))
    assert sorted(call.headers["webhook-id"] for call in receiver.calls) == sorted(events)


async def test_an_endpoint_that_is_gone_is_called_no_more(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, receiver: Receiver
) -> None:
    await subscribe(api, receiver)
    receiver.statuses = [410]
    event_id = await emit(resources, merchant.test_id)
    await drain(resources)
    delivery = await only_delivery(resources, event_id)
    assert delivery.status == "failed"
    await emit(resources, merchant.test_id)
    await drain(resources)
    assert len(receiver.calls) == 1
    refused = await api.post(f"/v1/webhook-deliveries/{delivery.id}/resend")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_disabled")


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [({"url": "https://0\r"}, "InvalidURL: "), ({"secret": "whsec_=="}, "EmptyWebhookSecretError")],
    ids=["the address", "the secret"],
)
async def test_an_endpoint_that_cannot_be_called_holds_nobody_up(
    api: httpx.AsyncClient,
    merchant: MerchantFixture,
    resources: Resources,
    receiver: Receiver,
    spoilt: dict[str, str],
    told: str,
) -> None:
    await subscribe(api, receiver)
    async with resources.db.tenant(merchant.test_id) as session:
        fields: dict[str, Any] = {"url": receiver.url(), "secret": signing.new_secret(), "types": ["*"]} | spoilt
        broken = WebhookEndpoint(merchant_id=merchant.test_id, id=ids.new("whe"), **fields)
        session.add(broken)
    event_id = await emit(resources, merchant.test_id)
    await drain(resources)
    assert [call.headers["webhook-id"] for call in receiver.calls] == [event_id]
    async with resources.db.system() as session:
        mine = select(WebhookDelivery).where(WebhookDelivery.event_id == event_id)
        delivery = (await session.scalars(mine.where(WebhookDelivery.endpoint_id == broken.id))).one()
    assert (delivery.status, delivery.attempts) == ("pending", 1)
    assert str(delivery.last_error).startswith(told)


async def test_a_name_that_leads_into_a_private_network_is_not_called(receiver: Receiver) -> None:
    async def rebound(_host: str, _port: int) -> list[Address]:
        return [ipaddress.ip_address("93.184.215.14"), ipaddress.ip_address("127.0.0.1")]

    attempt = deliveries.Attempt(
        "mch", "dlv", "whe", "evt_1", 1, f"https://shop.example.com:{receiver.port}/", "whsec_MTIz", b"{}"
    )
    async with sending.new_client() as client:
        outcome = await sending.post(client, attempt, development=False, resolve=rebound)
    assert outcome.error is not None
    assert outcome.error.startswith("AddressRefused")
    assert receiver.calls == []


async def test_an_endpoint_that_does_not_answer_is_an_error_not_a_crash(receiver: Receiver) -> None:
    attempt = deliveries.Attempt("mch", "dlv", "whe", "evt_1", 1, "http://127.0.0.1:1/", "whsec_MTIz", b"{}")
    async with sending.new_client() as client:
        outcome = await sending.post(client, attempt, development=True)
    assert outcome.error is not None
    assert outcome.error.startswith("ConnectError")
