"""The pipeline: GitLab's own schema, and that each step is a target that anyone can run."""

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from k8s_trees import PROFILES

ROOT = Path(__file__).resolve().parents[1]
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
WORDS = {"stages", "variables", "workflow", "default"}
JOBS: dict[str, Any] = {name: job for name, job in PIPELINE.items() if name not in WORDS and not name.startswith(".")}


def inherited(job: dict[str, Any], key: str) -> Any:
    if key in job:
        return job[key]
    parents = job.get("extends", [])
    for parent in reversed([parents] if isinstance(parents, str) else parents):
        if (found := inherited(PIPELINE[parent], key)) is not None:
            return found
    return None


def test_it_is_valid_by_gitlabs_schema() -> None:
    checker = str(Path(sys.executable).parent / "check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", ".gitlab-ci.yml"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_schema_is_the_one_that_would_find_a_typo() -> None:
    schema = json.loads((resources.files("check_jsonschema") / "builtin_schemas/vendor/gitlab-ci.json").read_text())
    assert schema["definitions"]["job_template"]["additionalProperties"] is False


def test_every_stage_has_a_job_and_every_job_a_stage() -> None:
    assert PIPELINE["stages"] == ["build", "test", "scan", "push", "deploy", "clean"]
    assert {inherited(job, "stage") for job in JOBS.values()} == set(PIPELINE["stages"])


def test_each_step_is_a_target_of_the_makefile() -> None:
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  ([a-z0-9-]+) ", listed, re.MULTILINE))
    for name, job in JOBS.items():
        for line in inherited(job, "script"):
            if line != "bash .ci/run" and not line.startswith("export "):
                named = re.search(r"\bmake ([a-z0-9-]+)", line)
                assert named is not None, f"{name}: {line}"
                assert named[1] in targets, f"{name}: there is no target {named[1]}"


def test_images_of_jobs_are_pinned() -> None:
    images = {key: value for key, value in PIPELINE["variables"].items() if key.endswith("_IMAGE")}
    assert images
    assert all(re.search(r":\d", value) and "latest" not in value for value in images.values()), images


def test_only_profiles_that_exist_are_deployed_and_production_only_by_hand() -> None:
    for name, job in JOBS.items():
        if inherited(job, "stage") != "deploy":
            continue
        matrix = job.get("parallel", {}).get("matrix", [{"PROFILE": [job["variables"].get("PROFILE")]}])
        profiles = [profile for entry in matrix for profile in entry["PROFILE"]]
        assert set(profiles) <= set(PROFILES), name
        by_hand = all(rule.get("when") == "manual" for rule in inherited(job, "rules"))
        assert by_hand or all(profile.startswith("staging_") for profile in profiles), name
        assert inherited(job, "resource_group") == "$PROFILE", "two deployments of one profile would undo each other"
        assert inherited(job, "interruptible") is False


def test_nothing_is_pushed_before_it_was_tested_and_scanned() -> None:
    for name in ("push-commit", "push-release"):
        assert inherited(JOBS[name], "needs") is None, f"{name} must wait for all stages before it"
    for name, job in JOBS.items():
        pushes = any("push" in line for line in inherited(job, "script"))
        assert pushes is (inherited(job, "stage") == "push"), name


def test_no_secret_stands_in_it() -> None:
    text = (ROOT / ".gitlab-ci.yml").read_text()
    assert not re.search(r"(?i)(password|token|secret)\w*:\s*[^$\s]", text)
