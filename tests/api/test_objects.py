"""What all objects carry, wherever they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.schemas import MOST_METADATA
from app.kit.objects import in_mode
from app.resources import Resources
from tests.api.probes import filled
from tests.api.test_tenants import all_probes, complete_world
from tests.factories import MerchantFixture

COMMON = {"id", "object", "created_at", "livemode", "metadata"}
# Answers about things, which are none themselves.
NO_ROWS = {
    "list",
    "balance",
    "campaign_stats",
    "participant_stats",
    "timeseries",
    "invitee_counts",
    "membership",
    "payout_settings",
    "withdrawal_quote",
}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from objects(each)
    elif isinstance(value, dict):
        if "object" in value:
            yield value
        for name, each in value.items():
            if name != "metadata":
                yield from objects(each)


async def test_every_object_that_is_read_carries_what_all_carry(
    app: FastAPI, resources: Resources, merchant: MerchantFixture
) -> None:
    world = await complete_world(app, resources, merchant, live=False)
    seen, faults = set(), set()
    async with merchant.client(app) as client:
        for probe in all_probes(app):
            if probe.method != "GET" or probe.place:
                continue
            path, query, _ = filled(probe, world, "")
            answer = await client.get(path, params=query)
            if answer.headers["content-type"] != "application/json":
                continue
            for shown in objects(answer.json()):
                kind = shown["object"]
                seen.add(kind)
                if kind not in NO_ROWS and (missing := COMMON - set(shown)):
                    faults.add(f"{kind} of {probe.name} lacks {sorted(missing)}")
                if kind != "list" and shown.get("livemode") is not False:
                    faults.add(f"{kind} of {probe.name}: livemode")
    assert not faults, "\n".join(sorted(faults))
    assert seen >= {"order", "order_line", "commission", "reward", "api_key", "merchant_user", "payout"}


def test_the_mode_is_said_of_objects_within_objects_and_of_nothing_else() -> None:
    own_words = {"object": "a teapot"}
    view = {
        "object": "order",
        "lines": [{"object": "order_line"}],
        "metadata": own_words,
        "explanation": [{"level": 1}],
    }
    assert in_mode(view, livemode=True) == {
        "object": "order",
        "lines": [{"object": "order_line", "livemode": True}],
        "metadata": own_words,
        "explanation": [{"level": 1}],
        "livemode": True,
    }


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ({"season": "winter", "parts": [1, 2, {"three": None}]}, 201),
        ({"a": "x" * (MOST_METADATA - 8)}, 201),
        ({"a": "x" * MOST_METADATA}, 422),
        ({"a": "茶" * (MOST_METADATA // 3)}, 422),
        ({str(number): number for number in range(51)}, 422),
    ],
)
async def test_metadata_are_small(api: httpx.AsyncClient, metadata: dict[str, Any], status: int) -> None:
    answer = await api.post("/v1/campaigns", json={"name": "x", "kind": "refer_a_friend", "metadata": metadata})
    assert answer.status_code == status, answer.text[:300]
    if status == 422:
        assert answer.json()["errors"][0]["pointer"] == "/metadata"
