"""Posters: a template and a person in, an encoded picture out. Pure: no database, no network, no clock."""

from app.poster.builtin import BUILTIN, OFFERED
from app.poster.check import SAMPLE, Problem, check_template
from app.poster.pictures import normalise_asset, normalise_avatar
from app.poster.qr import read_back
from app.poster.render import fingerprint, render
from app.poster.template import PosterInput, Template, load_template, named_assets
from app.poster.words import filter_nickname

__all__ = [
    "BUILTIN",
    "OFFERED",
    "SAMPLE",
    "PosterInput",
    "Problem",
    "Template",
    "check_template",
    "filter_nickname",
    "fingerprint",
    "load_template",
    "named_assets",
    "normalise_asset",
    "normalise_avatar",
    "read_back",
    "render",
]
