"""The middlewares round the routes, from the outside in. Each refuses what costs least to refuse before the next is asked:

Identified   an id                       Logged   a line an answer      Counted   metrics        Headers   for browsers
Guarded      503 while it stops          CORS     where origins are named
SameSite     403 for pages of others     Authorised   401, 403          Paced     429
Body         413, 408, 422               Shed     503 when too many wait
"""

from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from headrace.serve.counted import Counted
from headrace.serve.guard.authorised import Authorised
from headrace.serve.guard.body import Body
from headrace.serve.guard.door import Guarded
from headrace.serve.guard.headers import Headers
from headrace.serve.guard.identified import Identified
from headrace.serve.guard.keys import FILE, KeyRing
from headrace.serve.guard.logged import Logged
from headrace.serve.guard.paced import Buckets, Paced
from headrace.serve.guard.same_site import SameSite
from headrace.serve.guard.shed import Shed
from headrace.serve.serving import Serving

_ASKED_WITH = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
_TOLD_IN = ("X-Request-ID", "Retry-After")


def guard(app: FastAPI, serving: Serving) -> None:
    settings = serving.settings
    layers: list[tuple[Any, dict[str, Any]]] = [
        (Identified, {}),
        (Logged, {"generation": lambda: serving.service.generation}),
        (Counted, {"serving": serving}),
        (Headers, {}),
        (Guarded, {"door": serving.door}),
        (SameSite, {"origins": settings.cors_origins}),
        (Authorised, {"ring": KeyRing(serving.folder / FILE)}),
        (Body, {"settings": settings}),
        (Shed, {"most": settings.waiting}),
    ]
    if settings.cors_origins:
        cors = {
            "allow_origins": list(settings.cors_origins), "allow_methods": ["*"],
            "allow_headers": list(_ASKED_WITH), "expose_headers": list(_TOLD_IN),
        }  # fmt: skip
        layers.insert(5, (CORSMiddleware, cors))
    if settings.rate_per_s:
        layers.insert(-2, (Paced, {"buckets": Buckets(settings.rate_per_s, settings.rate_burst, serving.service.shared.lately)}))
    for layer, settings_of in reversed(layers):
        app.add_middleware(layer, **settings_of)
