"""The good requests that are made bad: one for each operation, public one and page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.api.probes import Gaps, Probe, Upload, picture, probes

PUBLIC = (
    Probe("GET /healthz", "/healthz"),
    Probe("GET /readyz", "/readyz"),
    Probe("GET /i/{invite_code}", "/i/$invite_code", (("s", "qr"), ("ch", "moments"))),
    Probe("GET /p/{invite_code}.jpg", "/p/$invite_code.jpg"),
    Probe("POST /v1/merchants", "/v1/merchants", body={"name": "x", "phone": "13812345678", "invite_code": "k7m2x9qd"}),
)
SEND = "step=send&phone=13812345678&nickname=x&invite_code=$invite_code&agree=yes"
VERIFY = "step=verify&phone=13812345678&nickname=x&invite_code=$invite_code&code=000000"
REGISTER = "name=x&phone=13812345679&invite_code=k7m2x9qd&agree=yes"
PAGES = (
    Probe("GET /h5/c/{campaign_id}", "/h5/c/$cmp", (("code", "$invite_code"), ("ch", "moments"))),
    Probe("GET /h5/c/{campaign_id}/rules", "/h5/c/$cmp/rules", (("code", "$invite_code"),)),
    Probe("GET /h5/c/{campaign_id}/join", "/h5/c/$cmp/join", (("code", "$invite_code"),)),
    Probe("POST /h5/c/{campaign_id}/join", "/h5/c/$cmp/join", body=SEND),
    Probe("POST /h5/c/{campaign_id}/join", "/h5/c/$cmp/join", body=VERIFY),
    Probe("GET /h5/me/{participant_id}", "/h5/me/$own"),
    Probe("POST /h5/me/{participant_id}/avatar", "/h5/me/$own/avatar", body=Upload(picture())),
    Probe("GET /h5/me/{participant_id}/withdraw", "/h5/me/$own/withdraw"),
    Probe(
        "POST /h5/me/{participant_id}/withdraw/account",
        "/h5/me/$own/withdraw/account",
        body="account=zhang@example.com&real_name=x",
    ),
    Probe("GET /h5/r", "/h5/r", (("code", "$invite_code"),)),
    Probe("POST /h5/r", "/h5/r", body=REGISTER),
    Probe("POST /h5/r/verify", "/h5/r/verify", body="ticket=x&phone=13812345679&code=000000"),
    Probe("POST /h5/r/resend", "/h5/r/resend", body="ticket=x&phone=13812345679"),
    Probe("GET /h5/r/me", "/h5/r/me"),
)


def controls(description: dict[str, Any]) -> Iterator[tuple[Probe, list[str]]]:
    """Each with the names that its query may hold."""
    gaps = Gaps()
    for probe in (*probes(description, gaps), *PUBLIC, *PAGES):
        if not probe.place:
            yield probe, [*_described(description, probe), *(name for name, _ in probe.query)]
    if gaps.found:
        raise LookupError(f"operations without a good request in tests/api/probes.py: {gaps.found}")


def _described(description: dict[str, Any], probe: Probe) -> list[str]:
    method, _, path = probe.operation.partition(" ")
    operation = description["paths"].get(path, {}).get(method.lower(), {})
    return [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
