"""The page's files. They come from the package that has built them; this service knows only where to ask."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles

GROUP: Final = "tradewind.page"
"""Entry points that name a folder with ``index.html`` and, below ``assets``, what it loads."""
_NOT_HERE: Final = (
    "The page is not served here: it has its own container (services/ui), or is built by: make ui\n"
    "This address answers below /api/v1; /openapi.json says what.\n"
)


def page_folder() -> Path | None:
    """The folder of the page that is installed beside this service and has been built, if any."""
    folders = (point.load() for point in entry_points(group=GROUP))
    return next((folder for folder in folders if (folder / "index.html").is_file()), None)


def add_page(app: FastAPI, folder: Path | None) -> None:
    """Serve the page at ``/``, after all that the application has so far, or say where it is."""
    files = None if folder is None else StaticFiles(directory=folder)

    async def page(request: Request, path: str = "index.html") -> Response:
        return PlainTextResponse(_NOT_HERE, 404) if files is None else await files.get_response(path, request.scope)

    app.add_api_route("/", page, include_in_schema=False)
    if files is not None:
        app.add_api_route("/{path:path}", page, include_in_schema=False)
