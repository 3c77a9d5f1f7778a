"""Prints the OpenAPI document: ``python -m tradewind.services.api.routes.openapi_document > services/api/openapi.json``

The page's TypeScript types are made from that file (``npm run api`` in services/ui/web); a test finds drift.
"""

import json
import sys
from typing import Any, cast

from tradewind.services.api.application import build_application
from tradewind.services.api.routes.access import Access


def document() -> dict[str, Any]:
    """The document of the version 0: what it describes is the same whichever release says it."""
    # The routes are described without being called, so nothing of a running service is needed.
    return build_application(cast(Access, None), "0").openapi()


def text() -> str:
    """The document as it stands in the repository."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
