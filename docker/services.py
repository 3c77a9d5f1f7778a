"""Writes ``docker/services.yaml``: one line for the compose fragment of each service folder. Run after adding one.

    python3 docker/services.py            writes the file
    python3 docker/services.py --check    says whether it is right; exit status 1 if not

Compose has no wildcard in ``include``. Standard library only.
"""

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "docker" / "services.yaml"


def text() -> str:
    """What the file must hold."""
    lines = [f"  - ../services/{path.parent.name}/compose.yaml" for path in ROOT.glob("services/*/compose.yaml")]
    return "\n".join(
        ["# Written by docker/services.py: the fragment of each service folder.", "include:", *sorted(lines), ""]
    )


def main() -> int:
    """Returns the exit status."""
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_text(encoding="utf-8") != text():
            sys.stderr.write(
                "docker/services.yaml does not list the folders of services/; run: python3 docker/services.py\n"
            )
            return 1
        return 0
    FILE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
