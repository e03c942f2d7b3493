from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends
from fastapi.responses import StreamingResponse
from pydantic import Field

from app.api.deps import PrincipalDep, ResourcesDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer
from app.kit import clock
from app.models import Job
from app.referrals import poster_jobs
from app.resources import Resources

router = make_router("jobs")

AT_ONCE = 16


class FailureOut(Answer):
    participant_id: str
    code: Annotated[str, Field(examples=["invite_url_unfit"])]


class JobOut(Answer):
    id: str
    object: Literal["job"]
    kind: Literal["posters"]
    status: Literal["queued", "running", "done", "expired"]
    campaign_id: str
    total: int
    done: int
    failed: int
    failures: Annotated[list[FailureOut], Field(description="The first hundred.")]
    size_bytes: int
    result_url: Annotated[str | None, Field(description="Where a zip file is to be had, once the job is done.")]
    result_expires_at: datetime | None
    finished_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.get("/jobs/{job_id}", response_model=JobOut)
async def get_job(job_id: str, tenant: TenantDep) -> dict[str, Any]:
    """How far a job is, and where its result is to be had."""
    job = await poster_jobs.get(tenant.session, merchant_id=tenant.merchant_id, job_id=job_id)
    failed = await poster_jobs.failures(tenant.session, merchant_id=tenant.merchant_id, job_id=job_id)
    return tenant.show(poster_jobs.job_view(job, failed))


async def done_job(job_id: str, principal: PrincipalDep, resources: ResourcesDep) -> Job:
    """Asked for in a transaction that is over before anything is sent."""
    async with resources.db.tenant(principal.merchant_id) as session:
        return await poster_jobs.require_result(
            session, merchant_id=principal.merchant_id, job_id=job_id, now=clock.utcnow()
        )


@router.get(
    "/jobs/{job_id}/result",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A zip file of the posters, each named by its invite code",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def download_result(done: Annotated[Job, Depends(done_job)], resources: ResourcesDep) -> StreamingResponse:
    """What came of a job, as a zip file."""
    headers = {"Content-Disposition": f'attachment; filename="{done.id}.zip"'}
    return StreamingResponse(zipped(resources, done), media_type="application/zip", headers=headers)


async def zipped(resources: Resources, job: Job) -> AsyncIterator[bytes]:
    """Written as it is read, some pictures at a time: neither the memory nor a transaction is held for long.

    Conflict `job_expired` where the pictures went meanwhile: the answer breaks off, for a file that lacks some must not
    look like a whole one.
    """
    out, sent = _Pipe(), 0
    # Stored: pictures do not become smaller.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        after = 0
        while True:
            async with resources.db.tenant(job.merchant_id) as session:
                rows = await poster_jobs.pictures(
                    session, merchant_id=job.merchant_id, job_id=job.id, after=after, most=AT_ONCE
                )
            for number, name, content in rows:
                archive.writestr(name, content)
                after = number
                yield out.take()
            sent += len(rows)
            if len(rows) < AT_ONCE:
                break
        if sent < job.done:
            raise poster_jobs.gone()
    yield out.take()


class _Pipe(io.RawIOBase):
    """What was written since it was last taken. It cannot seek, which a zip file needs not."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
