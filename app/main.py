"""The API process: wires rooms to routes, decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from app import __version__, h5
from app.api import errors, health, posters, v1
from app.api.docs import DESCRIPTION, install_docs
from app.api.hot.front import Front
from app.api.middleware import Edge, default_headers
from app.kit import garbage, logging
from app.resources import REFUSALS, open_resources, require_fit
from app.settings import Settings, get_settings
from app.tracking.announcements import followed

log = logging.get(__name__)


def create_server() -> FastAPI:
    """The application of a process that does nothing but serve."""
    app = create_app(draws=True)
    build_routes(app)
    garbage.look_seldom()
    return app


def build_routes(app: FastAPI) -> None:
    """Now, and not when the first request asks for one: that takes a second, in which no link would lead on."""
    nowhere: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(nowhere)


def create_app(settings: Settings | None = None, *, draws: bool = False) -> FastAPI:
    """`draws`: have the processes that draw ready before the first poster is asked for."""
    settings = settings or get_settings()
    logging.configure(settings.log_level, as_json=settings.log_json)
    tell = errors.teller(page=h5.error_page, page_prefixes=h5.PREFIXES)
    defaults = default_headers(https=settings.public_url.startswith("https://"))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            try:
                # With the database away nothing leaks, and nothing is counted before it has been asked.
                await require_fit(resources)
            except REFUSALS as error:
                log.critical("start_refused", reason=str(error))
                front.is_refused = True
                raise
            front.open(resources, Edge(front, defaults=defaults, tell=tell))
            codes, url = resources.tracker.codes, settings.database_system_url
            async with followed(codes, resources.db, url) as front.state.announcements:
                if draws:
                    resources.renderer.keep_ready()
                yield

    front = Front(
        title="Invitree",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        strict_content_type=True,
        redirect_slashes=False,
    )
    errors.install(front, tell)
    install_docs(front)
    front.include_router(health.router)
    front.include_router(v1.router)
    front.include_router(posters.router)
    front.include_router(h5.router)
    front.add_middleware(Edge, defaults=defaults, tell=tell)
    return front
