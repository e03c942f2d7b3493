"""Merchants: registration, live and test twins, keys, users and roles, plans, the house loop."""
