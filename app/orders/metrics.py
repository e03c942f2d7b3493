from __future__ import annotations

from prometheus_client import Counter

SETTLED = Counter("invitree_payments_total", "Checkouts that were paid", ["provider", "told_by"])
REFUND_DUE = Counter(
    "invitree_payments_refund_due_total", "Payments that bought nothing any more", ["provider", "code"]
)
PARKED = Counter("invitree_payment_notices_parked_total", "Signed notices that did not fit", ["provider", "code"])
UNSIGNED = Counter("invitree_payment_notices_unsigned_total", "Notices that nobody had signed", ["provider"])
