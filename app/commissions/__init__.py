"""Commissions: splitting an order line over the levels, holds, and taking back what was refunded."""
