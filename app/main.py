"""The API process: wires rooms to routes, decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app import __version__, h5
from app.api import errors, health, invite_links, posters, v1
from app.api.docs import DESCRIPTION, install_docs
from app.api.middleware import Edge
from app.db import roles
from app.kit import logging
from app.resources import open_resources
from app.settings import Settings, get_settings
from app.tracking.announcements import followed


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or get_settings()
    logging.configure(settings.log_level, as_json=settings.log_json)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            await roles.require_bound(resources.db)
            app.state.resources = resources
            codes, url = resources.tracker.codes, settings.database_system_url
            async with followed(codes, resources.db, url) as app.state.announcements:
                yield

    app = FastAPI(
        title="Invitree",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        strict_content_type=True,
        redirect_slashes=False,
    )
    tell = errors.teller(page=h5.error_page, page_prefixes=h5.PREFIXES)
    errors.install(app, tell)
    install_docs(app)
    app.include_router(health.router)
    app.include_router(v1.router)
    app.include_router(invite_links.router)
    app.include_router(posters.router)
    app.include_router(h5.router)
    app.add_middleware(Edge, https=settings.public_url.startswith("https://"), tell=tell)
    return app
