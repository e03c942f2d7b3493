"""What is wrong with an id, said before anything is done with it."""

from __future__ import annotations

import typer

from app.kit import ids


def check_merchant(merchant: str | None) -> None:
    try:
        if merchant is not None:
            ids.decode("mch", merchant)
    except ValueError:
        raise typer.BadParameter("a merchant's id begins with mch_", param_hint="--merchant") from None


def check_user(user: str | None) -> str | None:
    """A person: a key stands for a server, and nobody sits at a terminal as one."""
    try:
        if user is not None:
            ids.decode("usr", user)
    except ValueError:
        raise typer.BadParameter("a user's id begins with usr_") from None
    return user
