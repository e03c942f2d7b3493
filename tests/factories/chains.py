from __future__ import annotations

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.models import Member, Participant
from app.referrals import rules


async def grow_chain(session: AsyncSession, root: Participant, depth: int) -> list[str]:
    """A chain of `depth` nodes below the root, as signups would have written them; their ids, nearest first."""
    drawn = text("SELECT nextval('participant_numbers') FROM generate_series(1, :depth)")
    numbers = (await session.scalars(drawn, {"depth": depth})).all()
    members = [{"merchant_id": root.merchant_id, "id": ids.new("mbr"), "external_id": ids.new("ext")} for _ in numbers]
    nodes = []
    inviter_id, second_inviter_id, path = root.id, root.inviter_id, root.path
    for steps, (number, member) in enumerate(zip(numbers, members, strict=True), start=1):
        path += rules.segment(number)
        node = {
            "merchant_id": root.merchant_id,
            "id": ids.new("ptc"),
            "campaign_id": root.campaign_id,
            "member_id": member["id"],
            "invite_code": ids.new_invite_code(),
            "number": number,
            "inviter_id": inviter_id,
            "second_inviter_id": second_inviter_id,
            "depth": root.depth + steps,
            "path": path,
        }
        nodes.append(node)
        inviter_id, second_inviter_id = node["id"], inviter_id
    await session.execute(insert(Member), members)
    await session.execute(insert(Participant), nodes)
    return [node["id"] for node in nodes]
