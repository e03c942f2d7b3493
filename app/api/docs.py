"""`/docs` with vendored assets, so that it works without the Internet."""

from __future__ import annotations

from fastapi import FastAPI

DESCRIPTION = """\
Referral campaigns, membership days, commissions and payouts. Money is integer minor units; instants are RFC 3339
in UTC; ids are TypeIDs; errors are RFC 9457 problem documents with a stable `code`.
"""


def install_docs(app: FastAPI) -> None:
    """Serve the viewer and its assets."""
