"""What a call raises: which field of it can't be used, why, and under which id the server's log has it."""

from headrace.contracts.errors import HeadraceError

NOT_NOW = (408, 429, 503)
"""What may be another answer a moment later: the body was too slow, the caller too fast, the server too busy."""


class Failure(HeadraceError):
    """The server answered, and it is no answer to what was asked. status: of HTTP. field, says: as the server put them.

    request_id: as in the server's log. retry_after_s: when to come again, where the server said so.
    """

    def __init__(self, status: int, field: str, says: str, request_id: str, retry_after_s: float | None = None):
        super().__init__(f"{field} {says} (status {status}, request {request_id})")
        self.status, self.field, self.says = status, field, says
        self.request_id, self.retry_after_s = request_id, retry_after_s


class Refused(Failure):
    """4xx: what was sent can't be used. Sent again it fails again."""


class NotAllowed(Refused):
    """401 or 403: no key, an unknown one, or one without the scope that this asks for."""


class NotThere(Refused):
    """404: there is no such thing."""


class Busy(Failure):
    """408, 429 or 503: not now. It was sent again as often as may be."""


class Broken(Failure):
    """Another 5xx: the server failed. Its log says why."""


class Unreachable(HeadraceError):
    """No whole answer came: whether it was done is not known."""

    def __init__(self, why: str, request_id: str):
        super().__init__(f"No answer came: {why} (request {request_id})")
        self.request_id = request_id


_REFUSED = {401: NotAllowed, 403: NotAllowed, 404: NotThere}


def failure(status: int, field: str, says: str, request_id: str, retry_after_s: float | None = None) -> Failure:
    if status in NOT_NOW:
        kind: type[Failure] = Busy
    elif status in _REFUSED:
        kind = _REFUSED[status]
    else:
        kind = Refused if status < 500 else Broken
    return kind(status, field, says, request_id, retry_after_s)
