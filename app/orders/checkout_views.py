from __future__ import annotations

from typing import Any

from app.models import Checkout, PaymentNotice
from app.orders.paying import pay_url


def checkout_view(checkout: Checkout, *, public_url: str) -> dict[str, Any]:
    return {
        "id": checkout.id,
        "object": "checkout",
        "purpose": checkout.purpose,
        "subject": checkout.subject,
        "status": checkout.status,
        "reason": checkout.reason,
        "campaign_id": checkout.campaign_id,
        "participant_id": checkout.participant_id,
        "member_id": checkout.member_id,
        "title": checkout.title,
        "quantity": checkout.quantity,
        "amount_minor": checkout.amount_minor,
        "currency": checkout.currency,
        "provider": checkout.provider,
        "external_id": checkout.external_id,
        "pay_url": pay_url(public_url, checkout.id),
        "return_url": checkout.return_url,
        "expires_at": checkout.expires_at,
        "paid_at": checkout.paid_at,
        "refunded_at": checkout.refunded_at,
        "metadata": checkout.meta,
        "created_at": checkout.created_at,
    }


def notice_view(notice: PaymentNotice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "object": "payment_notice",
        "provider": notice.provider,
        "code": notice.code,
        "checkout_id": notice.checkout_id,
        "external_id": notice.external_id,
        "amount_minor": notice.amount_minor,
        "currency": notice.currency,
        "times": notice.times,
        "received_at": notice.received_at,
        "metadata": {},
        "created_at": notice.created_at,
    }
