"""Invitee and promoter pages: server-rendered, Chinese, phone first, useful without JavaScript."""

from app.h5.errors import error_page
from app.h5.routes import router

PREFIXES = ("/h5/", "/i/", "/p/")

__all__ = ["PREFIXES", "error_page", "router"]
