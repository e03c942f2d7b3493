"""Rewards: what an invite brings to both sides, owed with the signup, granted as membership days."""
