"""Read before anything is forked: the application is put together once, and its routes need not be worked out again."""

from __future__ import annotations

import gc

from app.main import create_app
from app.settings import Settings
from proofs.sabotage.seams import replace

# Dozens of servers start here and hardly one draws: drawing processes come with the first picture, not with the server.
replace("app.poster.renderer:Renderer.keep_ready", lambda _: lambda _renderer: None)
# By the variables of the stage. Not `get_settings`, which would keep them for a fork that has others.
create_app(Settings())
gc.collect()
gc.freeze()
