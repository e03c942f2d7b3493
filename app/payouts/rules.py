"""Who may act, which step may follow which, and what may be withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.kit.errors import Conflict, Forbidden
from app.kit.money import yuan

MINIMUM_MINOR = 100

Step = Literal["look", "build", "approve", "export", "send", "import", "cancel"]
Channel = Literal["file", "wechat", "alipay"]
Reason = Literal[
    "withdrawal_open",
    "ledger_disagrees",
    "negative_balance",
    "nothing_payable",
    "below_minimum",
    "payee_account_missing",
]

_MAKERS = frozenset({"owner", "finance", "operator"})
_CHECKERS = frozenset({"owner", "finance"})
_MAY: dict[Step, frozenset[str]] = {
    "look": _MAKERS | {"viewer"},
    "build": _MAKERS,
    "approve": _CHECKERS,
    "export": _CHECKERS,
    "send": _CHECKERS,
    "import": _CHECKERS,
    "cancel": _MAKERS,
}

# An exported file may be with the bank already: from there on only results, not a cancellation, free the money.
_FROM: dict[Step, frozenset[str]] = {
    "approve": frozenset({"built"}),
    "export": frozenset({"approved", "exported", "settled"}),
    "send": frozenset({"approved"}),
    "import": frozenset({"exported", "settled"}),
    "cancel": frozenset({"built", "approved"}),
}
_TOO_EARLY = {"built": "batch_not_approved", "approved": "batch_not_exported"}
_LATE_STEPS = frozenset({"export", "send", "import"})

WITHDRAWAL_MAY_BE_CANCELLED = frozenset({"requested", "approved"})


def require_role(role: str, step: Step) -> None:
    if role not in _MAY[step]:
        needed = ", ".join(sorted(_MAY[step]))
        raise Forbidden("role_not_allowed", f"The role {role} may not {step} payouts; it takes one of: {needed}.")


def require_other_person(*, maker_id: str, checker_id: str) -> None:
    if maker_id == checker_id:
        raise Forbidden("maker_is_checker", "Who built a batch may not approve it: another user has to.")


def require_step(status: str, step: Step) -> None:
    if status in _FROM[step]:
        return
    early = step in _LATE_STEPS and status in _TOO_EARLY
    code = _TOO_EARLY[status] if early else f"batch_{status}"
    raise Conflict(code, f"The batch is {status}; {step} is possible while it is {' or '.join(sorted(_FROM[step]))}.")


@dataclass(frozen=True, slots=True)
class Standing:
    """What one member could be paid now. `ledger_minor` is what the ledger says of the same money."""

    payable_minor: int
    ledger_minor: int
    has_open_withdrawal: bool
    has_payee_account: bool


def obstacle(standing: Standing, *, minimum_minor: int = MINIMUM_MINOR) -> Reason | None:
    """Why a withdrawal is not possible, or None."""
    checks: tuple[tuple[Reason, bool], ...] = (
        ("withdrawal_open", standing.has_open_withdrawal),
        ("ledger_disagrees", standing.payable_minor != standing.ledger_minor),
        ("negative_balance", standing.payable_minor < 0),
        ("nothing_payable", standing.payable_minor == 0),
        ("below_minimum", standing.payable_minor < minimum_minor),
        ("payee_account_missing", not standing.has_payee_account),
    )
    return next((reason for reason, applies in checks if applies), None)


def refusal(reason: Reason, standing: Standing, *, minimum_minor: int = MINIMUM_MINOR) -> Conflict:
    """The error a member's own request gets; a balance below zero pays nothing either."""
    code = "nothing_payable" if reason == "negative_balance" else reason
    return Conflict(
        code,
        {
            "withdrawal_open": "The member has a withdrawal under way; wait for it or cancel it.",
            "ledger_disagrees": "Ledger and commissions of the member differ; run `invitree payouts reconcile`.",
            "negative_balance": f"The balance is {yuan(standing.payable_minor)}; what is earned next makes up for it.",
            "nothing_payable": "No commission of the member is payable now.",
            "below_minimum": f"{yuan(standing.payable_minor)} is payable; the least is {yuan(minimum_minor)}.",
            "payee_account_missing": "The member has no payee account yet: add one first.",
        }[reason],
    )
