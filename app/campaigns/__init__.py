"""Campaigns: lifecycle, rules and their versions, the compliance check before publishing."""
