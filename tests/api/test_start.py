"""What a serving process has done before its first request."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from app import embedded
from app.main import create_server


@pytest.fixture
def _usual_garbage() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_usual_garbage")
def test_no_request_waits_until_routes_are_built(stack: embedded.Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework would build them, for a second, when somebody asks for one: links stood still meanwhile."""
    app, built = create_server(), []
    original = TypeAdapter.__init__

    def watched(adapter: Any, *arguments: Any, **options: Any) -> None:
        built.append(arguments)
        original(adapter, *arguments, **options)

    monkeypatch.setattr(TypeAdapter, "__init__", watched)
    for path in ("/v1/campaigns", "/h5/r", "/p/none.jpg", "/nowhere"):
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
        for route in app.routes:
            route.matches(scope)
    assert built == []
