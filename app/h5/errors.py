"""What a person sees when something does not go: a friendly page, never a stack trace or JSON."""

from __future__ import annotations

from fastapi import Request, Response

from app.kit.errors import InvitreeError


def error_page(request: Request, error: InvitreeError) -> Response:
    return Response(f"<!doctype html><title>{error.status}</title>", error.status, media_type="text/html")
