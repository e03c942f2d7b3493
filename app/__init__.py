"""Invitree, an open-source growth engine: referral campaigns, membership days, commissions and payouts."""

__version__ = "0.1.0"
