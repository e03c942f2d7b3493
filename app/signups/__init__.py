"""Signups: a friend comes in, is bound to who invited it, and both sides get what the campaign promises."""
