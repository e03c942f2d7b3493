"""Every table, one aggregate a file; global, so that migrations and every room see one schema."""

from app.db.base import Base
from app.db.outbox import OutboxEvent
from app.models.campaigns import Campaign, CampaignChannel, CampaignRule
from app.models.checkouts import Checkout, PaymentNotice, PaymentProvider, SandboxPayment
from app.models.commissions import Commission, CommissionHold
from app.models.decisions import PaybackDecision, PayoutDecision
from app.models.jobs import Job, JobPoster
from app.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction
from app.models.members import AvatarFetch, Member
from app.models.merchants import (
    ApiKey,
    AuditEntry,
    IdempotencyKey,
    Merchant,
    MerchantUser,
    PhoneCode,
    Plan,
    PlanPurchase,
)
from app.models.orders import Order, OrderLine, Refund
from app.models.payouts import (
    PayeeAccount,
    Payout,
    PayoutBatch,
    PayoutBatchFile,
    PayoutRail,
    PayoutSettings,
    SandboxTransfer,
    Withdrawal,
)
from app.models.posters import Asset, PosterTemplate, PosterTemplateVersion
from app.models.referrals import Participant, PastBinding, Referral
from app.models.rewards import Membership, MembershipGrant, Reward
from app.models.tracking import (
    CounterRepair,
    EventKey,
    ParticipantTotals,
    ParticipantVisitor,
    SetAsideEntry,
    ShardCount,
    StreamLease,
    StreamPosition,
    TrackedEvent,
)
from app.models.webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "ApiKey",
    "Asset",
    "AuditEntry",
    "AvatarFetch",
    "Base",
    "Campaign",
    "CampaignChannel",
    "CampaignRule",
    "Checkout",
    "Commission",
    "CommissionHold",
    "CounterRepair",
    "EventKey",
    "IdempotencyKey",
    "Job",
    "JobPoster",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerTransaction",
    "Member",
    "Membership",
    "MembershipGrant",
    "Merchant",
    "MerchantUser",
    "Order",
    "OrderLine",
    "OutboxEvent",
    "Participant",
    "ParticipantTotals",
    "ParticipantVisitor",
    "PastBinding",
    "PaybackDecision",
    "PayeeAccount",
    "PaymentNotice",
    "PaymentProvider",
    "Payout",
    "PayoutBatch",
    "PayoutBatchFile",
    "PayoutDecision",
    "PayoutRail",
    "PayoutSettings",
    "PhoneCode",
    "Plan",
    "PlanPurchase",
    "PosterTemplate",
    "PosterTemplateVersion",
    "Referral",
    "Refund",
    "Reward",
    "SandboxPayment",
    "SandboxTransfer",
    "SetAsideEntry",
    "ShardCount",
    "StreamLease",
    "StreamPosition",
    "TrackedEvent",
    "WebhookDelivery",
    "WebhookEndpoint",
    "Withdrawal",
]
