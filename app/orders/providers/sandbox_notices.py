"""The cashier's notifications: signed with a key of the merchant's own, over time, nonce and body, as real ones are."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from app.kit import clock
from app.orders.providers.protocol import Notice, State
from app.orders.providers.signatures import is_fresh, refused
from app.settings import get_keyring

STAMP, NONCE, SIGNATURE = "sandbox-timestamp", "sandbox-nonce", "sandbox-signature"
_STATES: dict[str, State] = {"SUCCESS": "paid", "PAYERROR": "failed", "CLOSED": "closed"}
_NAMES = {state: name for name, state in _STATES.items()}


class Amount(msgspec.Struct):
    total: int
    currency: str


class Body(msgspec.Struct):
    merchant_id: str
    out_trade_no: str
    trade_state: str
    amount: Amount
    transaction_id: str | None = None
    success_time: datetime | None = None


def write(notice: Notice) -> tuple[dict[str, str], bytes]:
    """Headers and body, signed now."""
    amount = Amount(notice.amount_minor or 0, notice.currency or "")
    body = msgspec.json.encode(
        Body(notice.merchant_id, notice.key, _NAMES[notice.state], amount, notice.external_id, notice.paid_at)
    )
    stamp, nonce = str(int(clock.utcnow().timestamp())), secrets.token_hex(16)
    signature = _sign(notice.merchant_id, stamp, nonce, body)
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
            told = msgspec.json.decode(body, type=Body)
        except msgspec.DecodeError:
            raise refused() from None
        return Notice(
            "sandbox",
            self.merchant_id,
            told.out_trade_no,
            _STATES.get(told.trade_state, "unknown"),
            external_id=told.transaction_id,
            amount_minor=told.amount.total,
            currency=told.amount.currency,
            paid_at=told.success_time,
            is_ours=told.merchant_id == self.merchant_id,
        )


def _sign(merchant_id: str, stamp: str, nonce: str, body: bytes) -> str:
    key = get_keyring().secret_hash("sandbox cashier", merchant_id)
    return hmac.digest(key, f"{stamp}\n{nonce}\n".encode() + body + b"\n", "sha256").hex()
