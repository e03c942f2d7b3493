"""Orders and refunds: what was bought and given back, and what each told commissions and rewards."""
