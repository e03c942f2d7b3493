from __future__ import annotations

from typing import Any

from app.commissions.views import commission_view
from app.models import Order, OrderLine, Refund
from app.orders.queries import OrderDetail


def order_view(found: OrderDetail) -> dict[str, Any]:
    order = found.order
    return {
        "id": order.id,
        "object": "order",
        "campaign_id": order.campaign_id,
        "participant_id": order.participant_id,
        "member_id": order.member_id,
        "external_order_id": order.external_order_id,
        "amount_minor": order.amount_minor,
        "refunded_minor": order.refunded_minor,
        "shipping_minor": order.shipping_minor,
        "tax_minor": order.tax_minor,
        "platform_fee_bps": order.platform_fee_bps,
        "platform_fee_minor": order.platform_fee_minor,
        "platform_fee_refunded_minor": order.platform_fee_refunded_minor,
        "currency": order.currency,
        "status": order.status,
        "paid_at": order.paid_at,
        "fulfilled_at": order.fulfilled_at,
        "rule_version": order.rule_version,
        "lines": [line_view(line, order) for line in found.lines],
        "commissions": [commission_view(row) for row in found.commissions],
        "explanation": order.explanation,
        "refunds": [refund_view(refund) for refund in found.refunds],
        "metadata": order.meta,
        "created_at": order.created_at,
    }


def line_view(line: OrderLine, order: Order) -> dict[str, Any]:
    return {
        "id": line.id,
        "object": "order_line",
        "external_line_id": line.external_line_id,
        "product": line.product,
        "amount_minor": line.amount_minor,
        "refunded_minor": line.refunded_minor,
        "metadata": {},
        "created_at": order.created_at,
    }


def refund_view(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "object": "refund",
        "order_id": refund.order_id,
        "checkout_id": refund.checkout_id,
        "external_order_id": refund.external_order_id,
        "external_refund_id": refund.external_refund_id,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "lines": refund.lines,
        "status": refund.status,
        "refusal": refund.refusal,
        "refunded_at": refund.refunded_at,
        "payback": refund.payback,
        "payback_reason": refund.payback_reason,
        "paid_back_at": refund.paid_back_at,
        "metadata": {},
        "created_at": refund.created_at,
    }
