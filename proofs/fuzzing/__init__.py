"""Requests that no client would send, and what is asked of every answer."""
