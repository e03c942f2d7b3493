"""Two members who are paid to one account are one person, as far as it can be known."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from app.models import PayeeAccount


def share_an_account(merchant_id: Any, one_id: Any, other_id: Any) -> ColumnElement[bool]:
    """Of two members, by values or columns of a statement around it."""
    mine, theirs = aliased(PayeeAccount), aliased(PayeeAccount)
    same = (theirs.kind == mine.kind) & (theirs.account_index == mine.account_index)
    return (
        select(mine.id)
        .join(theirs, (theirs.merchant_id == mine.merchant_id) & same)
        .where(mine.merchant_id == merchant_id, mine.member_id == one_id, theirs.member_id == other_id)
        .exists()
    )
