"""What every provider is asked, and what it may answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Kind = Literal["wechat", "alipay", "sandbox"]
State = Literal["processing", "awaiting_payee", "paid", "failed", "refused", "not_now", "not_found", "unknown"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """`key` is the payout's for ever; whoever sends it twice means the same transfer."""

    key: str
    amount_minor: int
    currency: str
    account: str = field(repr=False)
    real_name: str = field(repr=False)
    remark: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`failed`: there is such a transfer, and no money will move by it. `refused`: none was made, for its own fault;
    `not_now`: none was made, for a reason that passes (funds, limits, credentials). `not_found`: the provider does not
    know the key. `unknown`: anything may have happened. `package_info` lets the payee confirm."""

    state: State
    external_id: str | None = None
    reason: str | None = None
    amount_minor: int | None = None
    paid_at: datetime | None = None
    package_info: str | None = field(default=None, repr=False)


class Rail(Protocol):
    """Each call is one request with a time-out. What is not an answer of the provider's own is `unknown`."""

    async def send(self, transfer: Transfer) -> Answer: ...

    async def query(self, key: str) -> Answer: ...

    async def cancel(self, key: str) -> Answer:
        """Ask that a transfer its payee has not confirmed be given up; what became of it is for `query` to say."""
        ...
