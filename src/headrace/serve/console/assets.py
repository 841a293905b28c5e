"""What the pages load, from this package alone. An address names the file's content, so that a browser may keep it for good."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Response

from headrace.serve.messages import Refused

ROOT = "/console"
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_KEPT = "private, max-age=31536000, immutable"
_ASKED_AGAIN = "private, no-cache"


@cache
def content(name: str) -> tuple[bytes, str] | None:
    """(what is in the file, a mark of it); None where there is no such file."""
    found = next((one for one in files(__package__).joinpath("static").iterdir() if one.name == name and one.is_file()), None)
    if found is None or name.rpartition(".")[2] not in _TYPES:
        return None
    held = found.read_bytes()
    return held, sha256(held).hexdigest()[:12]


def asset(name: str) -> str:
    """Its address."""
    held = content(name)
    assert held is not None, name
    return f"{ROOT}/static/{name}?v={held[1]}"


def routes() -> APIRouter:
    router = APIRouter()

    @router.get(ROOT + "/static/{name}")
    def static(name: str, v: str = "") -> Response:
        held = content(name)
        if held is None:
            raise Refused("path", "is no file of the console.", status=404)
        kept = _KEPT if v == held[1] else _ASKED_AGAIN
        return Response(held[0], media_type=_TYPES[name.rpartition(".")[2]], headers={"Cache-Control": kept})

    return router
