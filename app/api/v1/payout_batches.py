from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body as Optionally
from fastapi import Depends, Request, Response, status
from pydantic import ConfigDict, Field

from app.api.deps import MovesMoney, NeedsPayouts, PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, CurrencyCode, Instant, ListAnswer, type_id
from app.api.uploads import CSV_BODY, CsvFile, read_csv_file
from app.payouts import exports, queries, results, sending, service
from app.payouts.alipay_file import Payer
from app.payouts.payout_file import MEDIA_TYPES
from app.payouts.planning import Choice
from app.payouts.result_file import parse
from app.payouts.rules import Reason
from app.payouts.views import batch_view, skipped_view

router = make_router("payout batches")

Status = Literal["built", "approved", "exported", "sent", "settled", "cancelled"]
UserId = Annotated[str, type_id("usr")]
USER = "usr_01h2xcejqtf2nbrexx3vqjhp41"


class BuildIn(Body):
    """`campaign_id` chooses members with a commission of that campaign; each is paid all that is payable."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": USER}]})

    user_id: Annotated[UserId, Field(description="Who builds: owner, finance or operator.")]
    campaign_id: Annotated[str, type_id("cmp")] | None = None
    currency: CurrencyCode = "CNY"
    channel: Annotated[
        Literal["file", "wechat", "alipay"], Field(description="Only members with an account there; `file` takes all.")
    ] = "file"
    requested_before: Annotated[
        Instant | None,
        Field(description="The cut-off: only withdrawals asked for before it, and nobody who has not asked."),
    ] = None


class ApproveIn(Body):
    user_id: Annotated[UserId, Field(description="An owner or finance, not the builder.", examples=[USER])]


class ExportIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"format": "csv", "user_id": USER}]})

    format: Annotated[
        Literal["csv", "xlsx", "alipay", "alipay-gbk"],
        Field(description="`alipay`: its template for many payments, with a payer, in UTF-8 or GBK."),
    ] = "csv"
    payer_account: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    payer_name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    user_id: Annotated[UserId | None, Field(description="Without it the API key is written down.")] = None

    def payer(self) -> Payer | None:
        return Payer(self.payer_account, self.payer_name) if self.payer_account and self.payer_name else None


class SendIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": USER}]})

    user_id: Annotated[UserId | None, Field(description="Without it the API key is written down.")] = None


class CancelIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": USER, "reason": "金额有误"}]})

    user_id: UserId | None = None
    reason: Annotated[str, Field(max_length=500)] | None = None


class BatchOut(Answer):
    id: str
    object: Literal["payout_batch"]
    number: Annotated[str, Field(description="Letters and digits, never used twice.")]
    channel: Annotated[str, Field(description="`file` until it is sent: then its rail, or `mixed`.")]
    campaign_id: str | None
    requested_before: Annotated[datetime | None, Field(description="Its cut-off.")]
    status: Status
    payout_count: int
    total_minor: int
    currency: str
    built_by: str
    approved_by: str | None
    approved_at: datetime | None
    exported_at: datetime | None
    sent_at: datetime | None
    settled_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class SkippedOut(Answer):
    member_id: str
    amount_minor: int
    reason: Reason


class BuiltOut(BatchOut):
    skipped: Annotated[list[SkippedOut], Field(description="Members with money that is not paid now, and why.")]


class BatchDetailOut(BatchOut):
    payouts: Annotated[dict[str, int], Field(description="Their number by status.", examples=[{"paid": 12}])]


class RefusedRowOut(Answer):
    line: Annotated[int, Field(description="Of the file; its first line is the header.")]
    payout_id: str
    code: str
    detail: str


class ResultsOut(Answer):
    """`refused` rows touched nothing; `open` payouts have no result yet."""

    object: Literal["payout_results"]
    batch: BatchOut
    paid: int
    failed: int
    unchanged: int
    open: int
    refused: list[RefusedRowOut]
    livemode: bool


@router.post(
    "/payout-batches",
    response_model=BuiltOut,
    status_code=status.HTTP_201_CREATED,
    dependencies=[MovesMoney, NeedsPayouts],
)
async def build_batch(body: BuildIn, tenant: TenantDep) -> dict[str, Any]:
    """A batch of all requested withdrawals and, without a cut-off, of everybody else who can be paid."""
    choice = Choice(**body.model_dump(exclude={"user_id"}))
    who: dict[str, Any] = {"merchant_id": tenant.merchant_id, "actor_id": body.user_id, "key_id": tenant.key_id}
    built = await service.build(tenant.session, **who, now=tenant.now, choice=choice)
    return tenant.show({**batch_view(built.batch), "skipped": [skipped_view(one) for one in built.skipped]})


@router.get("/payout-batches", response_model=ListAnswer[BatchOut])
async def list_batches(
    tenant: TenantDep,
    page: PageDep,
    status: Status | None = None,
    number: Annotated[str | None, Field(max_length=32)] = None,
) -> dict[str, Any]:
    """Batches, newest first; one by the `number` that its files and remarks carry."""
    query = page.filtered(status=status, number=number)
    found = await queries.batches_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, batch_view)


@router.get("/payout-batches/{batch_id}", response_model=BatchDetailOut)
async def get_batch(batch_id: str, tenant: TenantDep) -> dict[str, Any]:
    """One batch, and how far its payouts are."""
    own = {"merchant_id": tenant.merchant_id}
    batch = await queries.get_batch(tenant.session, **own, batch_id=batch_id)
    payouts = await queries.count_by_status(tenant.session, **own, batch_id=batch.id)
    return tenant.show({**batch_view(batch), "payouts": payouts})


@router.post("/payout-batches/{batch_id}/approve", response_model=BatchOut, dependencies=[MovesMoney, NeedsPayouts])
async def approve_batch(batch_id: str, body: ApproveIn, tenant: TenantDep) -> dict[str, Any]:
    """By another user than the one who built it. A key speaks for whom it names: your server must know who asks, and
    the audit log keeps the user and the key. Merchants who want two sign-ins approve on the command line."""
    who: dict[str, Any] = {"merchant_id": tenant.merchant_id, "actor_id": body.user_id, "key_id": tenant.key_id}
    batch = await service.approve(tenant.session, **who, batch_id=batch_id, now=tenant.now)
    return tenant.show(batch_view(batch))


@router.post(
    "/payout-batches/{batch_id}/export",
    response_class=Response,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()}}},
    dependencies=[NeedsPayouts],
)
async def export_batch(
    batch_id: str, tenant: TenantDep, request: Request, body: Annotated[ExportIn, Optionally(default_factory=ExportIn)]
) -> Response:
    """The file, with names and accounts in full; again it is the same to the byte. Whom Alipay's template cannot name
    is left out, and named in the header `Left-Out`: `failed`, unless another format was exported before."""
    # The file is kept sealed and is the same each time: an answer remembered beside it would lie open.
    request.state.idempotency_claim = None
    scope = {"merchant_id": tenant.merchant_id, "batch_id": batch_id, "actor_id": body.user_id or tenant.key_id}
    exported = await exports.export(tenant.session, **scope, format_=body.format, payer=body.payer(), now=tenant.now)
    headers = {"Content-Disposition": f'attachment; filename="{exported.name}"'}
    headers |= {"Left-Out": ", ".join(exported.left_out[:100])} if exported.left_out else {}
    return Response(exported.content, headers=headers, media_type=MEDIA_TYPES[body.format])


@router.post("/payout-batches/{batch_id}/send", response_model=BatchOut, dependencies=[MovesMoney, NeedsPayouts])
async def send_batch(
    batch_id: str, tenant: TenantDep, body: Annotated[SendIn, Optionally(default_factory=SendIn)]
) -> dict[str, Any]:
    """To the providers of its payees' accounts, one transfer each; what becomes of them is told by its payouts."""
    who: dict[str, Any] = {"actor_id": body.user_id or tenant.key_id, "livemode": tenant.livemode, "now": tenant.now}
    batch = await sending.send(tenant.session, merchant_id=tenant.merchant_id, batch_id=batch_id, **who)
    return tenant.show(batch_view(batch))


@router.post(
    "/payout-batches/{batch_id}/results",
    response_model=ResultsOut,
    openapi_extra=CSV_BODY,
    dependencies=[MovesMoney, NeedsPayouts],
)
async def import_results(
    batch_id: str, tenant: TenantDep, upload: Annotated[CsvFile, Depends(read_csv_file)]
) -> dict[str, Any]:
    """What became of the payouts, as CSV: whole or in parts, and again without harm."""
    file, who = parse(upload.content), upload.user_id or tenant.key_id
    done = await results.import_results(
        tenant.session, merchant_id=tenant.merchant_id, batch_id=batch_id, file=file, actor_id=who, now=tenant.now
    )
    shown = {"object": "payout_results", "batch": tenant.show(batch_view(done.batch)), **done.as_dict()}
    return tenant.show(shown)


@router.post("/payout-batches/{batch_id}/cancel", response_model=BatchOut, dependencies=[MovesMoney, NeedsPayouts])
async def cancel_batch(
    batch_id: str, tenant: TenantDep, body: Annotated[CancelIn, Optionally(default_factory=CancelIn)]
) -> dict[str, Any]:
    """Until it is exported or sent: its commissions are payable again."""
    scope = {"merchant_id": tenant.merchant_id, "batch_id": batch_id, "actor_id": body.user_id or tenant.key_id}
    batch = await service.cancel(tenant.session, **scope, reason=body.reason, now=tenant.now)
    return tenant.show(batch_view(batch))
