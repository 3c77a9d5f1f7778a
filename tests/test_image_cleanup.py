"""Old images go, by the policy; what is in use, young, or of another kind stays."""

import datetime
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from registry_standin import PASSWORD, USER, Images, registry

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("image_cleanup", ROOT / "k8s" / "image_cleanup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


cleanup = _module()
POLICY = cleanup.Policy(keep_releases=2, keep_commits=2, keep_days=14)


def tagged(tag: str, days: int, digest: str = "") -> Any:
    return cleanup.Tagged(tag, digest or f"sha256:{tag}", NOW - datetime.timedelta(days=days))


def removed(*images: Any, in_use: tuple[str, ...] = ()) -> list[str]:
    return [one.tag for one in cleanup.to_remove(images, POLICY, in_use, NOW)]


def test_the_newest_releases_stay_by_their_number_and_not_by_their_age() -> None:
    assert removed(tagged("0.9.0", 1), tagged("0.10.0", 90), tagged("0.2.11", 80), tagged("0.10.1", 70)) == [
        "0.2.11",
        "0.9.0",
    ]


def test_old_commits_go_but_for_the_newest_and_the_young() -> None:
    commits = [tagged(f"{number:07x}", days) for number, days in enumerate((40, 30, 20, 10, 5, 1), 10)]
    assert removed(*commits) == ["000000a", "000000b", "000000c"]
    assert removed(*commits[:3]) == ["000000a"]


def test_what_a_manifest_names_stays() -> None:
    images = [tagged(f"0.1.{number}", 100 - number) for number in range(5)]
    assert removed(*images, in_use=("0.1.0",)) == ["0.1.1", "0.1.2"]


def test_what_is_neither_release_nor_commit_stays() -> None:
    assert removed(*(tagged(tag, 900) for tag in ("cache", "latest", "main", "0.1", "123456", "stable-7fe29a1"))) == []


def test_a_digest_that_a_kept_tag_shares_stays() -> None:
    old = [tagged("aaaaaaa", 90, "sha256:shared"), tagged("bbbbbbb", 80), tagged("ccccccc", 70), tagged("ddddddd", 60)]
    assert removed(*old, tagged("0.1.0", 90, "sha256:shared")) == ["bbbbbbb"]


def test_the_committed_manifests_are_in_use() -> None:
    assert cleanup.tags_in_use() == {"0.1.0"}


def run(host: str, *arguments: str, password: str = PASSWORD, user: str = USER) -> subprocess.CompletedProcess[str]:
    variables = {
        **os.environ,
        "TRADEWIND_REGISTRY": f"{host}/trading/",
        "TRADEWIND_REGISTRY_USER": user,
        "TRADEWIND_REGISTRY_PASSWORD": password,
    }
    command = [sys.executable, str(ROOT / "k8s" / "image_cleanup.py"), *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=50)


def filled() -> Images:
    """Of one image: 12 releases, one of them in an index, and a commit that shares the oldest's manifest."""
    images = Images()
    for number in range(12):
        images.push(
            "trading/tradewind/risk",
            f"0.2.{number}",
            f"2026-0{1 + number // 2}-01T00:00:00.123456789Z",
            indexed=number == 1,
        )
    images.push("trading/tradewind/api", "0.2.0", "2020-01-01T00:00:00Z")
    images.push("trading/somebody/else", "0.0.1", "2020-01-01T00:00:00Z")
    return images


def test_it_removes_over_the_registrys_own_interface() -> None:
    images = filled()
    with registry(images) as host:
        said = run(host, "--dry-run")
        assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "2 would go"), said.stderr
        assert len(images.tags["trading/tradewind/risk"]) == 12
        done = run(host)
        assert done.returncode == 0, done.stderr
        *lines, last = done.stdout.splitlines()
        assert sorted(lines) == [f"removes trading/tradewind/risk: 0.2.{number}" for number in (0, 1)]
        assert last == "2 removed"
        assert sorted(images.tags["trading/tradewind/risk"]) == sorted(f"0.2.{number}" for number in range(2, 12))
        assert images.tags["trading/somebody/else"] == {"0.0.1": images.tags["trading/somebody/else"]["0.0.1"]}
        assert any(scope.endswith(":delete") for scope in images.scopes)
        assert run(host).stdout == "0 removed\n"


@pytest.mark.parametrize(
    ("user", "password", "words"),
    [("", "", "set TRADEWIND_REGISTRY_USER"), (USER, "wrong", "answers 401")],
)
def test_a_login_that_is_refused_is_one_line(user: str, password: str, words: str) -> None:
    with registry(filled()) as host:
        refused = run(host, user=user, password=password)
    assert refused.returncode in (1, 2)
    [line] = refused.stderr.splitlines()
    assert words in line
    assert "wrong" not in line


def test_a_registry_that_is_not_there_is_one_line() -> None:
    [line] = run("127.0.0.1:1").stderr.splitlines()
    assert "the registry does not answer" in line
