"""The cashier's notifications: signed with a key of the merchant's own, over time, nonce and body, as real ones are."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from app.kit import clock
from app.orders.providers import trades
from app.orders.providers.protocol import Notice, State
from app.orders.providers.signatures import is_fresh, refused
from app.settings import get_keyring

STAMP, NONCE, SIGNATURE = "sandbox-timestamp", "sandbox-nonce", "sandbox-signature"
_STATES: dict[str, State] = {"SUCCESS": "paid", "PAYERROR": "failed", "CLOSED": "closed"}
_NAMES = {state: name for name, state in _STATES.items()}


def write(notice: Notice) -> tuple[dict[str, str], bytes]:
    """Headers and body, signed now."""
    amount = trades.Amount(notice.amount_minor or 0, notice.currency or "")
    trade = trades.Trade(notice.key, _NAMES[notice.state], amount, notice.external_id, notice.paid_at)
    return sign(notice.merchant_id, {"merchant_id": notice.merchant_id, **msgspec.to_builtins(trade)})


def sign(merchant_id: str, told: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    body = msgspec.json.encode(told)
    stamp, nonce = str(int(clock.utcnow().timestamp())), secrets.token_hex(16)
    signature = _sign(merchant_id, stamp, nonce, body)
    return {STAMP: stamp, NONCE: nonce, SIGNATURE: signature, "content-type": "application/json"}, body


@dataclass(frozen=True, slots=True)
class SandboxReader:
    merchant_id: str

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        stamp, nonce = headers.get(STAMP, ""), headers.get(NONCE, "")
        expected = _sign(self.merchant_id, stamp, nonce, body)
        given = headers.get(SIGNATURE, "")
        if not is_fresh(stamp) or not hmac.compare_digest(expected.encode(), given.encode()):
            raise refused()
        try:
            told = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise trades.unreadable(str(fault)) from None
        is_ours = told.get("merchant_id") == self.merchant_id
        notice = trades.read(told, _STATES, provider="sandbox", merchant_id=self.merchant_id, is_ours=is_ours)
        if notice.state == "unknown":
            raise trades.unreadable("No such state of a payment.")
        return notice


def _sign(merchant_id: str, stamp: str, nonce: str, body: bytes) -> str:
    key = get_keyring().secret_hash("sandbox cashier", merchant_id)
    return hmac.digest(key, f"{stamp}\n{nonce}\n".encode() + body + b"\n", "sha256").hex()
