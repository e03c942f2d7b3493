"""What all objects of the API and of webhooks carry."""

from __future__ import annotations

from typing import Any

# A merchant's own words, in which `object` means whatever it wants.
_OWN_WORDS = frozenset({"metadata", "landing"})


def in_mode(view: dict[str, Any], *, livemode: bool) -> dict[str, Any]:
    """A room's view of a row as the public object: it and the objects in it say which of the two worlds they are of."""
    shown = {name: value if name in _OWN_WORDS else _inside(value, livemode) for name, value in view.items()}
    return {**shown, "livemode": livemode}


def _inside(value: Any, livemode: bool) -> Any:
    if isinstance(value, list):
        return [_inside(each, livemode) for each in value]
    if isinstance(value, dict) and "object" in value:
        return in_mode(value, livemode=livemode)
    return value
