"""Who may act, which step may follow which, and what may be withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.kit.errors import Conflict, Forbidden, Unprocessable
from app.kit.money import share, yuan

# WeChat and Alipay transfer no less.
RAIL_MINIMUM_MINOR = 10

Step = Literal["look", "build", "approve", "export", "send", "import", "cancel", "settle", "set terms"]
FeeBearer = Literal["merchant", "payee"]
Channel = Literal["file", "wechat", "alipay"]
Reason = Literal[
    "withdrawal_open",
    "ledger_disagrees",
    "negative_balance",
    "nothing_payable",
    "below_minimum",
    "payee_account_missing",
    "payee_account_refused",
    "after_cut_off",
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
    "settle": _CHECKERS,
    "set terms": _CHECKERS,
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


def require_person(actor_id: str) -> None:
    """Two keys are not two people. Whom a key speaks for is known to its server alone."""
    if not actor_id.startswith("usr_"):
        raise Forbidden("person_required", "This takes two people: a merchant user each.")


def require_confirmer(*, actor_id: str, asked_by: str, approved_by: str | None) -> None:
    if actor_id == asked_by:
        raise Forbidden("asker_is_confirmer", "Who asked for it may not confirm it: another user has to.")
    if actor_id == approved_by:
        raise Forbidden("approver_is_confirmer", "Who approved the batch may not confirm it: another user has to.")


def require_step(status: str, step: Step) -> None:
    if status in _FROM[step]:
        return
    early = step in _LATE_STEPS and status in _TOO_EARLY
    code = _TOO_EARLY[status] if early else f"batch_{status}"
    raise Conflict(code, f"The batch is {status}; {step} is possible while it is {' or '.join(sorted(_FROM[step]))}.")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a merchant asks of withdrawals: the least of them, and a fee of `fee_minor` and `fee_bps` of each."""

    minimum_minor: int = 100
    fee_minor: int = 0
    fee_bps: int = 0
    fee_bearer: FeeBearer = "merchant"

    def fee_of(self, amount_minor: int) -> int:
        return self.fee_minor + share(amount_minor, self.fee_bps)

    def withheld_of(self, amount_minor: int) -> int:
        """What a payee gets less."""
        return self.fee_of(amount_minor) if self.fee_bearer == "payee" else 0


def bearer(stored: str) -> FeeBearer:
    return "payee" if stored == "payee" else "merchant"


def require_terms(terms: Terms) -> None:
    """What goes out of the least withdrawal, and so of every greater one, is what every rail takes."""
    least = terms.minimum_minor - terms.withheld_of(terms.minimum_minor)
    if least < RAIL_MINIMUM_MINOR:
        raise Unprocessable(
            "payout_net_too_small",
            f"Of {yuan(terms.minimum_minor)}, the least withdrawal, {yuan(least)} would go out:"
            f" no rail takes less than {yuan(RAIL_MINIMUM_MINOR)}.",
        )


def require_agreed_fee(*, agreed_minor: int | None, withheld_minor: int) -> None:
    """The fee that the member was shown is the one that is withheld."""
    if agreed_minor not in (None, withheld_minor):
        raise Conflict("fee_changed", f"The fee is {yuan(withheld_minor)} now; ask again if that is agreed.")


@dataclass(frozen=True, slots=True)
class Standing:
    """What one member could be paid now. `ledger_minor` is what the ledger says of the same money."""

    payable_minor: int
    ledger_minor: int
    has_open_withdrawal: bool
    has_payee_account: bool


def obstacle(standing: Standing, *, minimum_minor: int) -> Reason | None:
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


def refusal(reason: Reason, standing: Standing, *, minimum_minor: int) -> Conflict:
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
            "payee_account_refused": "The member's account or name cannot stand in the channel's file: correct it.",
            "after_cut_off": "It was asked for after the cut-off.",
        }[reason],
    )
