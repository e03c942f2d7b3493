"""Every operation with another tenant's key and real ids: it answers as if they did not exist, and changes nothing."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.api import v1
from app.kit import ids
from app.models import Base
from app.resources import Resources
from tests.api.probes import BODIES, PUBLIC, WORDS, Gaps, Probe, Upload, filled, operations, probes
from tests.factories import MerchantFixture, make_merchant
from tests.factories.world import World, make_world

TYPE_ID = re.compile(r"\b[a-z]{3,4}_[0-7][0-9a-hjkmnp-tv-z]{25}\b")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)")
# Nobody's rows, or rows that this test writes itself.
NOT_COMPARED = {"plans", "stream_positions", "stream_leases", "set_aside_entries", "shard_counts", "idempotency_keys"}


def all_probes(app: FastAPI) -> list[Probe]:
    gaps = Gaps()
    found = list(probes(app.openapi(), gaps))
    assert not gaps.found, "these routes have no probe yet; add it to tests/api/probes.py"
    return found


async def complete_world(app: FastAPI, resources: Resources, merchant: MerchantFixture, *, live: bool) -> World:
    world = await make_world(resources, merchant, live=live)
    async with merchant.client(app, live=live) as client:
        world["key"] = (await client.get("/v1/api-keys")).json()["data"][0]["id"]
        payees = (await client.get(f"/v1/members/{world['mbr2']}/payee-accounts")).json()["data"]
    return world | {"pac2": payees[0]["id"]}


async def send(client: httpx.AsyncClient, probe: Probe, world: World, stranger: str = "") -> httpx.Response:
    path, query, body = filled(probe, world, stranger)
    headers = {"Idempotency-Key": ids.new("try")} if probe.method == "POST" else {}
    if isinstance(probe.body, Upload):
        files = {"file": ("a.png", probe.body.content, "image/png")}
        return await client.request(probe.method, path, params=query, files=files, headers=headers)
    headers["Content-Type"] = "text/csv" if isinstance(probe.body, str) else "application/json"
    return await client.request(probe.method, path, params=query, content=body, headers=headers)


def unknown(value: str) -> str:
    """Of the same form, and nobody's."""
    prefix, found, _ = value.partition("_")
    return ids.new(prefix) if found else ids.new_invite_code()


def told(answer: httpx.Response, stranger: str) -> tuple[int, str]:
    """What of an answer can tell one stranger from another."""
    return answer.status_code, INSTANT.sub("<t>", TYPE_ID.sub("<id>", answer.text.replace(stranger, "<stranger>")))


def hidden(probe: Probe, answer: httpx.Response) -> bool:
    if probe.place in WORDS:
        return True
    if probe.where == "query" and answer.status_code == 200:
        return bool(answer.json()["data"] == [])
    # A field of a document is pointed at where it does not fit: 422.
    return answer.status_code in ({404, 422} if probe.where == "body" else {404})


async def content_of(resources: Resources, merchant_ids: list[str]) -> dict[str, Any]:
    """A digest of every row that these tenants have."""
    tables = [table.name for table in Base.metadata.sorted_tables if table.name not in NOT_COMPARED]
    found = {}
    async with resources.db.system() as session:
        for table in tables:
            column = "id" if table == "merchants" else "merchant_id"
            statement = text(
                f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t WHERE {column}::text = ANY(:ids)"
            )
            plain = [str(ids.decode("mch", merchant_id)) for merchant_id in merchant_ids]
            found[table] = await session.scalar(statement, {"ids": plain})
    return found


@pytest.mark.parametrize("attacker", ["another merchant", "the live twin"])
async def test_another_tenants_things_are_as_if_they_did_not_exist(
    app: FastAPI, resources: Resources, merchant: MerchantFixture, attacker: str
) -> None:
    caller, live = (merchant, True) if attacker == "the live twin" else (await make_merchant(resources), False)
    own = await complete_world(app, resources, caller, live=live)
    victim = await complete_world(app, resources, merchant, live=False)
    before = await content_of(resources, [merchant.test_id])
    faults = []
    async with caller.client(app, live=live) as client:
        for probe in all_probes(app):
            name = probe.place.removeprefix("$")
            if name:
                nobodys, theirs = unknown(victim[name]), victim[name]
                expected, found = [await send(client, probe, own, stranger) for stranger in (nobodys, theirs)]
                if told(expected, nobodys) != told(found, theirs) or not hidden(probe, found):
                    faults.append(f"{probe.name}\n  unknown: {expected.text[:300]}\n  foreign: {found.text[:300]}")
    assert not faults, "\n".join(faults)
    assert await content_of(resources, [merchant.test_id]) == before


async def test_the_same_requests_reach_the_callers_own_things(
    app: FastAPI, resources: Resources, merchant: MerchantFixture
) -> None:
    """The control: were a path or a body of the walk wrong, everything would be 404 there, too."""
    own = await complete_world(app, resources, merchant, live=False)
    controls = [probe for probe in all_probes(app) if not probe.place]
    faults = []
    async with merchant.client(app) as client:
        for probe in sorted(controls, key=last_what_destroys):
            answer = await send(client, probe, own)
            if answer.status_code not in {200, 201, 202, 204, 409}:
                faults.append(f"{probe.name}: {answer.status_code} {answer.text[:300]}")
    assert not faults, "\n".join(faults)


def last_what_destroys(probe: Probe) -> tuple[bool, bool, bool]:
    """The caller's own key at the very end."""
    ends = probe.path.endswith(("/end", "/cancel", "/revoke"))
    return probe.path == "/v1/api-keys/$key", probe.method == "DELETE", ends


async def test_lists_show_nothing_of_anybody_else(
    app: FastAPI, resources: Resources, merchant: MerchantFixture
) -> None:
    victim = await complete_world(app, resources, merchant, live=False)
    stranger = await make_merchant(resources)
    secrets = {value for name, value in victim.items() if name != "$new" and value}
    async with stranger.client(app) as client:
        for name, operation in operations(app.openapi()):
            if name.startswith("GET ") and name not in PUBLIC and "{" not in name:
                answer = await client.get(name.partition(" ")[2])
                assert answer.status_code == 200, (name, answer.text, operation["operationId"])
                assert not [secret for secret in secrets if secret in answer.text], name


async def test_a_signed_in_route_wants_a_key(app: FastAPI, http: httpx.AsyncClient) -> None:
    for probe in all_probes(app):
        if not probe.place:
            path = re.sub(r"\$\w+", "x", probe.path)
            answer = await http.request(probe.method, path, content=b"{}", headers={"Content-Type": "application/json"})
            assert answer.status_code == 401, (probe.name, answer.text)


def test_no_route_of_the_api_hides_from_the_walk(app: FastAPI) -> None:
    described = {name for name, _ in operations(app.openapi())}
    existing = {
        f"{method} {route.path}"
        for module in modules()
        for route in module.router.routes
        for method in route.methods - {"HEAD"}
    }
    assert existing <= described
    assert set(BODIES) <= described, "probes for routes that are no more"


def modules() -> list[Any]:
    load: Callable[[str], Any] = lambda name: __import__(f"{v1.__name__}.{name}", fromlist=["router"])  # noqa: E731
    return [load(found.name) for found in pkgutil.iter_modules(v1.__path__)]
