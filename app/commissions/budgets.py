"""What budgets leave of the parts of an order: clamped in the order of its lines, the nearest level first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.commissions.rules import Part


def within(
    lines: Sequence[Sequence[Part]], *, campaign: int | None, promoters: Mapping[str, int] | None
) -> list[list[Part]]:
    """`campaign`: left of its budget; `promoters`: left of each one's, by participant; None where there is none."""
    if campaign is None and promoters is None:
        return [list(parts) for parts in lines]
    promoter_left = dict(promoters or {})
    found = []
    for parts in lines:
        kept = []
        for part in parts:
            own = None if promoters is None else promoter_left.get(part.beneficiary_id or "", 0)
            part = _clamped(part, campaign, own)
            campaign = None if campaign is None else campaign - part.amount_minor
            if own is not None and part.beneficiary_id:
                promoter_left[part.beneficiary_id] = own - part.amount_minor
            kept.append(part)
        found.append(kept)
    return found


def _clamped(part: Part, campaign: int | None, promoter: int | None) -> Part:
    """The tighter of both gives the reason, of equal ones the campaign's."""
    bounds = [(left, name) for left, name in ((campaign, "budget"), (promoter, "promoter_budget")) if left is not None]
    left, reason = min(bounds, default=(part.amount_minor, ""))
    if part.amount_minor <= left:
        return part
    whose = "budget" if reason == "budget" else "promoter's budget"
    said = f"{part.arithmetic}, of which {left} is left of the {whose}"
    return replace(part, amount_minor=left, reason=reason, arithmetic=said)
