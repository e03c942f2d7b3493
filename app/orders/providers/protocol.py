"""What a page needs of a payment provider, and what the provider tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Kind = Literal["sandbox", "wechat"]
Way = Literal["cashier", "jsapi", "h5"]
State = Literal["waiting", "paid", "failed", "closed", "not_found", "unknown"]
RefundState = Literal["refunded", "processing", "refused", "unknown"]  # refused for good: by this key nothing goes back

KEY_HEAD = "ivt"


def payment_key(own_id: str) -> str:
    """29 letters and digits, as every provider takes them; of a checkout's or a refund's id, which is there before
    anybody is asked: no error can change it."""
    return f"{KEY_HEAD}{own_id.rpartition('_')[2]}"


def checkout_of(key: str) -> str:
    """The checkout that a key was made of; whether there is one is another matter."""
    return f"ord_{key.removeprefix(KEY_HEAD)}"


@dataclass(frozen=True, slots=True)
class Payment:
    """What is to be paid. `openid`: the payer's with the merchant's WeChat application, where it is known."""

    key: str
    title: str
    amount_minor: int
    currency: str
    expires_at: datetime
    notify_url: str
    return_url: str
    payer_address: str = ""
    openid: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Payback:
    """What goes back of the payment `key`, once however often it is asked for by the same `refund_key`."""

    key: str
    refund_key: str
    amount_minor: int
    total_minor: int
    currency: str
    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """How the page goes on: to `url`, or by calling WeChat with `call`."""

    way: Way
    url: str | None = None
    call: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a provider says of one payment, by its notification or when it is asked.

    `amount_minor` and `currency` are what was to be paid, not less by a coupon of the provider's. `is_ours`: it is of
    the merchant's own account and application.
    """

    provider: Kind
    merchant_id: str
    key: str
    state: State
    external_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    paid_at: datetime | None = None
    is_ours: bool = True

    @property
    def checkout_id(self) -> str:
        return checkout_of(self.key)


class Provider(Protocol):
    """Each call is one request with a time-out; httpx and OS errors pass on. What is no answer is `unknown`."""

    async def start(self, payment: Payment, way: Way) -> Start: ...

    async def query(self, key: str) -> Notice: ...

    async def close(self, key: str) -> None:
        """Let nobody pay it any more; whether somebody did is for `query` to say."""
        ...

    async def refund(self, payback: Payback) -> RefundState: ...


class Reader(Protocol):
    """Knows a provider's notifications."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Unauthorized `notification_signature_invalid` where it is not the provider's, or of another time."""
        ...
