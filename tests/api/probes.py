"""What a walk over all routes sends: every operation, with every place in it that names something by id or word."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from app.kit import ids
from tests.factories.rsa_keys import key_pair, private_pem, public_pem

# A placeholder is the name of a thing in the world, after a dollar sign: `$cmp` is a campaign's id.
PLACEHOLDER = re.compile(r"\$[a-z_]+[0-9]?")
PATH_NAMES = {
    "asset_id": "$ast",
    "batch_id": "$bat",
    "campaign_id": "$cmp",
    "checkout_id": "$chk",
    "commission_id": "$com",
    "delivery_id": "$dlv",
    "endpoint_id": "$whe",
    "job_id": "$job",
    "key_id": "$key",
    "member_id": "$mbr",
    "order_id": "$ord",
    "participant_id": "$ptc",
    "payout_id": "$pay",
    "refund_id": "$rfd",
    "reward_id": "$rwd",
    "template_id": "$tpl",
    "withdrawal_id": "$wdr",
}
QUERY_NAMES = {
    **PATH_NAMES,
    "beneficiary_id": "$ptc",
    "event_id": "$evt",
    "external_id": "$external_member_id",
    "external_order_id": "$external_order_id",
    "external_refund_id": "$external_refund_id",
    "user_id": "$usr",
}
# A second one of a kind, in the state that the operation wants.
PATH_PLACES = {
    "GET /v1/merchant/checkouts/{checkout_id}": "$chk2",
    "POST /v1/payout-batches/{batch_id}/results": "$bat2",
}
# Whose number it is that `external_id` names.
NUMBERED = {
    "GET /v1/checkouts": "$external_payment_id",
    "GET /v1/payment-notices": "$external_payment_id",
    "GET /v1/payouts": "$external_payout_id",
}
# Not ids: an unknown one is no error everywhere, so that it is enough that nothing can be told. `$pay2` is a row of a
# file, of which each is refused by itself.
EXTERNAL = (*NUMBERED.values(), "$external_member_id", "$external_order_id", "$external_refund_id")
WORDS = frozenset({"$invite_code", "$pay2", *EXTERNAL})
MEMBER = {"external_id": "$new"}
MEMBERS = [MEMBER, {**MEMBER, "avatar_asset_id": "$ast2"}]
QR = {"type": "qr", "x": 225, "y": 900, "size": 300}
PAINT = {"stops": ["#0B6B57", "#3DB98B"], "angle": 90}
PRIVATE_KEY, PUBLIC_KEY = private_pem(key_pair()), public_pem(key_pair())
NAMES = ("mch_id", "app_id", "serial_no", "public_key_id", "job_type", "pay_for")
RAIL = dict.fromkeys(NAMES, "x") | {"private_key": PRIVATE_KEY, "public_key": PUBLIC_KEY}
PAYMENTS = dict.fromkeys(("mch_id", "app_id", "serial_no", "public_key_id"), "x")
PAYMENTS |= {"private_key": PRIVATE_KEY, "public_key": PUBLIC_KEY, "api_v3_key": "0" * 32}
TEMPLATE = {"name": "海报", "document": {"background": {"paint": PAINT, "asset": "$ast"}, "layers": [QR]}}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a form."""

    content: bytes


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(out, "PNG")
    return out.getvalue()


# Bodies that the operation would take, were all of it the caller's own. `$new` is something new each time.
BODIES: dict[str, list[Any]] = {
    "POST /v1/api-keys": [{"name": "k"}],
    "POST /v1/api-keys/{key_id}/rotate": [{}],
    "POST /v1/campaigns": [{"name": "x", "kind": "refer_a_friend", "poster_template_ids": ["$tpl"]}],
    "PATCH /v1/campaigns/{campaign_id}": [{"poster_template_ids": ["$tpl"]}],
    "POST /v1/assets": [Upload(picture())],
    "POST /v1/campaigns/{campaign_id}/participants": [
        {"member": member, "invite_code": "$invite_code"} for member in MEMBERS
    ],
    "POST /v1/campaigns/{campaign_id}/posters": [{"participant_ids": ["$ptc"], "template_id": "$tpl"}],
    "POST /v1/checkouts": [
        {"campaign_id": "$cmp", buyer: place} for buyer, place in (("participant_id", "$ptc2"), ("member_id", "$mbr"))
    ],
    "POST /v1/events": [[{"event_id": "$new", "type": "click", "invite_code": "$invite_code"}]],
    "POST /v1/members/{member_id}/payee-accounts": [
        {"kind": "alipay", "account": "zhang@example.com", "real_name": "张小明"}
    ],
    "POST /v1/merchant/plan": [{"plan": "pro_month"}],
    "POST /v1/merchant/top-ups": [{"amount_minor": 100_000}],
    "POST /v1/merchant/users": [{"name": "x", "role": "viewer"}],
    "POST /v1/merchant/verify": [{"code": "000000"}],
    "POST /v1/orders": [
        {
            "campaign_id": "$cmp",
            buyer: place,
            "external_order_id": "$new",
            "amount_minor": 5_900,
            "currency": "CNY",
            "paid_at": "$now",
        }
        for buyer, place in (("participant_id", "$ptc2"), ("member_id", "$mbr"))
    ],
    "POST /v1/commissions/{commission_id}/reject": [{"reason": "x", "user_id": "$usr2"}],
    "POST /v1/orders/{order_id}/fulfil": [{}],
    "POST /v1/orders/{order_id}/refunds": [{"external_refund_id": "$new", "amount_minor": 1}],
    "PATCH /v1/participants/{participant_id}": [{"poster_template_id": "$tpl"}],
    "POST /v1/participants/{participant_id}/rebind": [{"inviter_id": "$ptc2", "reason": "x"}],
    "POST /v1/payout-batches": [{"user_id": "$usr", "campaign_id": "$cmp"}],
    "POST /v1/payout-batches/{batch_id}/approve": [{"user_id": "$usr2"}],
    "POST /v1/payout-batches/{batch_id}/cancel": [{"user_id": "$usr"}],
    "POST /v1/payout-batches/{batch_id}/export": [{"user_id": "$usr"}],
    "POST /v1/payout-batches/{batch_id}/send": [{"user_id": "$usr"}],
    "PUT /v1/payment-providers/wechat": [PAYMENTS],
    "PUT /v1/payout-rails/alipay": [{"app_id": "1", "private_key": PRIVATE_KEY, "alipay_public_key": PUBLIC_KEY}],
    "PUT /v1/payout-rails/sandbox": [{"times_out_bps": 0}],
    "PUT /v1/payout-rails/wechat": [RAIL],
    "PUT /v1/payout-settings": [{"minimum_minor": 100, "user_id": "$usr"}],
    "POST /v1/payouts/{payout_id}/cancel": [{"user_id": "$usr"}],
    "POST /v1/payouts/{payout_id}/decision": [{"user_id": "$usr2", "outcome": "paid", "reason": "x", "evidence": "y"}],
    "POST /v1/payouts/{payout_id}/decision/confirm": [{"user_id": "$usr2", "outcome": "paid"}],
    "POST /v1/refunds/{refund_id}/decision": [
        {"user_id": "$usr2", "outcome": "try_again", "reason": "x", "evidence": "y"}
    ],
    "POST /v1/refunds/{refund_id}/decision/confirm": [{"user_id": "$usr2", "outcome": "try_again"}],
    "POST /v1/payout-batches/{batch_id}/results": ["payout_id,status,external_id,reason,paid_at\n$pay2,paid,1,,\n"],
    "POST /v1/refunds": [{"external_order_id": "$external_order_id", "external_refund_id": "$new", "amount_minor": 1}],
    "POST /v1/rewards/{reward_id}/revoke": [{"reason": "x"}],
    "POST /v1/poster-templates": [TEMPLATE],
    "PATCH /v1/poster-templates/{template_id}": [TEMPLATE],
    "POST /v1/poster-templates/{template_id}/preview": [{"avatar_asset_id": "$ast2", "campaign_id": "$cmp"}],
    "POST /v1/signups": [
        {"campaign_id": "$cmp", "member": member, "invite_code": "$invite_code"} for member in MEMBERS
    ],
    "POST /v1/test-clock": [{"advance_seconds": 1}],
    "POST /v1/webhook-endpoints": [{"url": "https://shop.example.com/"}],
    "POST /v1/withdrawals": [{"member_id": "$mbr2", "payee_account_id": "$pac2"}],
}
# Open to everybody, with no key to be another merchant's: what they may tell is tested beside what they do.
PUBLIC = frozenset(
    {
        "GET /healthz",
        "GET /readyz",
        "POST /v1/payment-notifications/{kind}/{merchant_id}",
        "GET /i/{invite_code}",
        "GET /p/{invite_code}.jpg",
        "GET /v1/plans",
        "POST /v1/merchants",
    }
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. `path`, `query` and `body` hold placeholders; `place` is the one that is not the caller's own."""

    operation: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    place: str = ""
    where: str = ""

    @property
    def method(self) -> str:
        return self.operation.partition(" ")[0]

    @property
    def name(self) -> str:
        return f"{self.operation} · {self.where} {self.place}".rstrip(" ·")


@dataclass(slots=True)
class Gaps:
    """What the walk does not know how to send."""

    found: list[str] = field(default_factory=list)


def operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, by_method in description["paths"].items():
        for method, operation in by_method.items():
            yield f"{method.upper()} {path}", operation


def probes(description: dict[str, Any], gaps: Gaps) -> Iterator[Probe]:
    """For each operation one probe a place, and one with no place, which is the control."""
    for name, operation in operations(description):
        if name in PUBLIC:
            continue
        path, in_path = _path(name, gaps)
        for body in _bodies(name, operation, description, gaps):
            yield Probe(name, path, body=body)
            for place in in_path:
                yield Probe(name, path, body=body, place=place, where="path")
            for place in sorted(set(PLACEHOLDER.findall(text_of(body))) - {"$new", "$now"}):
                yield Probe(name, path, body=body, place=place, where="body")
            for parameter, place in _filters(name, operation, gaps):
                yield Probe(name, path, ((parameter, place),), body, place, "query")


def _path(name: str, gaps: Gaps) -> tuple[str, list[str]]:
    path = name.partition(" ")[2]
    names = re.findall(r"\{(\w+)\}", path)
    gaps.found += [f"{name}: {{{each}}} in the path" for each in names if each not in PATH_NAMES]
    places = [PATH_PLACES.get(name, PATH_NAMES.get(each, "$unknown")) for each in names]
    for each, place in zip(names, places, strict=True):
        path = path.replace(f"{{{each}}}", place)
    return path, places


def _bodies(name: str, operation: dict[str, Any], description: dict[str, Any], gaps: Gaps) -> list[Any]:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return [None]
    bodies = BODIES.get(name)
    if bodies is None:
        gaps.found.append(f"{name}: no body")
        return []
    sent = {field_name for body in bodies for field_name in _fields(body)}
    wanted = set(_id_fields(description, content.get("application/json", {}).get("schema", {})))
    gaps.found += [f"{name}: {missing} in the body" for missing in sorted(wanted - sent)]
    return bodies


def _filters(name: str, operation: dict[str, Any], gaps: Gaps) -> Iterator[tuple[str, str]]:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query" and parameter["name"].endswith("_id"):
            place = QUERY_NAMES.get(parameter["name"])
            if place is None:
                gaps.found.append(f"{name}: {parameter['name']} in the query")
            else:
                yield parameter["name"], NUMBERED.get(name, place) if place in WORDS else place


def _fields(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        for name, value in body.items():
            yield name
            yield from _fields(value)
    elif isinstance(body, list):
        for value in body:
            yield from _fields(value)


def _id_fields(description: dict[str, Any], schema: dict[str, Any], name: str = "") -> Iterator[str]:
    """Fields that take the id of something of ours, at any depth."""
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if re.match(r"\^[a-z]+_\[0-7\]", schema.get("pattern", "")) or name == "invite_code":
        yield name
    for child, below in schema.get("properties", {}).items():
        yield from _id_fields(description, below, child)
    for below in [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]:
        yield from _id_fields(description, below, name)
    if "items" in schema:
        yield from _id_fields(description, schema["items"], name)


def text_of(body: Any) -> str:
    """As it is sent; an upload names nothing."""
    return body if isinstance(body, str) else "" if isinstance(body, Upload) else json.dumps(body)


def filled(probe: Probe, world: dict[str, str], stranger: str) -> tuple[str, dict[str, str], str]:
    """Path, query and body with the caller's own things in every place but the probe's, where `stranger` stands."""

    def fill(text: str, where: str) -> str:
        values = {f"${name}": value for name, value in world.items()} | {"$new": ids.new("new")}
        if where == probe.where:
            values[probe.place] = stranger
        return PLACEHOLDER.sub(lambda found: values[found.group()], text)

    query = {name: fill(value, "query") for name, value in probe.query}
    return fill(probe.path, "path"), query, "" if probe.body is None else fill(text_of(probe.body), "body")
