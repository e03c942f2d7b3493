"""What Node takes for the same poster, where Node is there and its packages can be had."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from app.poster import PosterInput
from app.poster.faces import FOLDER
from benchmarks.poster_scene import AVATAR, CODE, CODE_LINE, NICKNAME, SIZE

PACKAGES = ("satori", "@resvg/resvg-js", "qrcode", "@napi-rs/canvas")
# Its binaries come from elsewhere than the packages: it may be missing.
PERHAPS = ("canvas",)
SCRIPT = Path(__file__).with_name("poster.mjs")
PATIENCE = 180


def rivals(background: Image.Image, posters: Sequence[PosterInput]) -> Mapping[str, float | str]:
    """Median milliseconds of each, or why there is none."""
    if not shutil.which("node") or not shutil.which("npm"):
        return {"node": "not there"}
    with tempfile.TemporaryDirectory(prefix="ivt-node-") as name:
        folder = Path(name)
        try:
            _install(folder, PACKAGES)
        except (subprocess.SubprocessError, OSError):
            return {"node": "its packages cannot be had"}
        try:
            _install(folder, PERHAPS)
        except (subprocess.SubprocessError, OSError):
            shutil.rmtree(folder / "node_modules" / "canvas", ignore_errors=True)
        return _measured(folder, background, posters)


def _install(folder: Path, packages: Sequence[str]) -> None:
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


def _measured(folder: Path, background: Image.Image, posters: Sequence[PosterInput]) -> Mapping[str, float | str]:
    background.save(folder / "background.png")
    scene = {
        "width": SIZE[0],
        "height": SIZE[1],
        "avatar": AVATAR,
        "nickname": NICKNAME,
        "line": CODE_LINE,
        "code": CODE,
        "background": str(folder / "background.png"),
        "font": str(FOLDER / "NotoSansSC-Regular.ttf"),
        "people": [_person(poster) for poster in posters],
    }
    (folder / "scene.json").write_text(json.dumps(scene), "utf-8")
    (folder / "package.json").touch()
    command = ["node", str(SCRIPT), str(folder / "scene.json")]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        return {"node": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed"}
    found: dict[str, float | str] = json.loads(done.stdout)
    return found


def _person(poster: PosterInput) -> dict[str, str]:
    avatar = base64.b64encode(poster.avatar or b"").decode()
    return {"nickname": poster.nickname, "avatar": avatar, "link": poster.invite_url, "code": poster.invite_code}
