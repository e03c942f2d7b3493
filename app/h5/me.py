"""A participant's own page: poster, friends, rewards, earnings; behind the session that a phone code opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, File, Request, Response, UploadFile
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.deps import ResourcesDep
from app.campaigns import queries as campaign_queries
from app.commissions import queries as commission_queries
from app.db.pages import PageQuery
from app.h5.pages import redirect, render
from app.h5.sessions import Visitor, require_session
from app.kit import people
from app.kit.errors import InvitreeError, not_found
from app.ledger import queries as ledger_queries
from app.models import Participant
from app.referrals import assets, members
from app.referrals import queries as referral_queries
from app.resources import Resources
from app.rewards import queries as reward_queries
from app.tracking import stats

router = APIRouter()
SHOWN = PageQuery(limit=20)


@dataclass(frozen=True, slots=True)
class Own:
    """The visitor's own participant, in a transaction of its tenant."""

    session: AsyncSession
    visitor: Visitor
    participant: Participant

    @property
    def tenant(self) -> dict[str, Any]:
        return {"merchant_id": self.visitor.merchant_id}


@asynccontextmanager
async def own_page(request: Request, resources: Resources, participant_id: str) -> AsyncIterator[Own]:
    """Forbidden without a session; somebody else's page is as if it did not exist."""
    visitor = require_session(request, resources.settings)
    async with resources.db.tenant(visitor.merchant_id) as session:
        participant = await referral_queries.get_participant(
            session, merchant_id=visitor.merchant_id, participant_id=participant_id
        )
        if participant.member_id != visitor.member_id:
            raise not_found("participant")
        yield Own(session, visitor, participant)
