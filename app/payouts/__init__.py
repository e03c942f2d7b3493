"""Payouts: payee accounts, withdrawals, batches from preview to settlement, reconciliation."""
