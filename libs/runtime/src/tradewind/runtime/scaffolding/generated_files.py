"""What is generated from the service folders: the manifests of every profile, and compose's list of fragments."""

import subprocess
import sys
from pathlib import Path

from tradewind.runtime.kubernetes.profiles import load_profile, profile_names
from tradewind.runtime.kubernetes.rendering import render
from tradewind.runtime.kubernetes.trees import RENDERED, repository_version, write_tree
from tradewind.runtime.refusals import StartRefused


def generate(root: Path) -> list[Path]:
    """Bring all generated files up to date; gives those that were changed.

    Raises:
        StartRefused: a template is wrong, or a generator failed.
    """
    version = repository_version(root)
    trees = {name: render(root, load_profile(root, name), version) for name in profile_names(root)}
    changed = [path for name, tree in trees.items() for path in write_tree(root / RENDERED / name, tree)]
    listed = root / "docker" / "services.yaml"
    before = listed.read_text(encoding="utf-8")
    generator = [sys.executable, str(root / "docker" / "services.py")]
    run = subprocess.run(generator, capture_output=True, text=True, timeout=30)  # noqa: S603 - a file of this repository
    if run.returncode:
        raise StartRefused(f"docker/services.py failed: {run.stderr.strip()}")
    return changed + ([listed] if listed.read_text(encoding="utf-8") != before else [])
