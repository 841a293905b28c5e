"""What serve does: answers until a signal stops it."""

from pathlib import Path

from headrace.cli.drawing import page
from headrace.contracts.errors import MissingExtra


def serve_run(folder: Path, host: str, port: int) -> None:
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("uvicorn", "serve", "Serving") from None
    from headrace.serve.app import create_app

    app = create_app(folder)
    page().print(f"{folder} answers on http://{host}:{port}/v1/recommend; try it on http://{host}:{port}/docs")
    # A signal stops new requests; those in flight are answered, then the app flushes its logs and state.
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=30)
