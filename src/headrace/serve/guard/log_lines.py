"""What a server logs, to stderr: lines for people, or one JSON object a line for machines."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]


def log_to_stderr(form: LogFormat) -> None:
    """All that is logged from warnings up, and the lines of answers; no less of a library that sets itself a lower level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("headrace."))
    handler.setFormatter(JsonLines() if form == "json" else TextLines("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("headrace.serve").setLevel(logging.INFO)


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        line |= getattr(record, "line", {"message": record.getMessage()})
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said, line = super().format(record), getattr(record, "line", None)
        return said if line is None else f"{said}, id {line['id']}" + (f", key {line['key']}" if line["key"] else "")
