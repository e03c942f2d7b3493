"""Rows as the application would have made them, written as the runtime's own roles."""

from tests.factories.campaigns import make_campaign, make_participant
from tests.factories.merchants import MerchantFixture, client_with, make_merchant

__all__ = ["MerchantFixture", "client_with", "make_campaign", "make_merchant", "make_participant"]
