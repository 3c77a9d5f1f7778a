"""Rendering: the committed trees are what the templates give; what a person got wrong is said with file and line."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from k8s_trees import PROFILES, ROOT, tree
from typer.testing import CliRunner

from tradewind.runtime import cli
from tradewind.runtime.kubernetes.contexts import cpu_limit, hashed_name
from tradewind.runtime.kubernetes.positions import ManifestError
from tradewind.runtime.kubernetes.profiles import load_profile
from tradewind.runtime.kubernetes.rendering import render
from tradewind.runtime.kubernetes.trees import differences, write_tree

RENDERED = ROOT / "k8s" / "rendered"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What rendering reads, in a folder where it may be changed."""
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "k8s", root / "k8s", ignore=shutil.ignore_patterns("rendered"))
    for toml in ROOT.glob("services/*/service.toml"):
        folder = root / "services" / toml.parent.name
        folder.mkdir(parents=True)
        for name in ("service.toml", "k8s.yaml.j2"):
            shutil.copy(toml.parent / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def rendered(root: Path, profile: str = "dev_local") -> dict[str, str]:
    return render(root, load_profile(root, profile), "0.1.0")


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.build_app(), list(arguments))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_committed_tree_is_what_the_templates_give(profile: str) -> None:
    found = differences(RENDERED / profile, tree(profile))
    assert not found, "run: make k8s-render\n" + "\n".join(found)


def test_no_tree_of_a_profile_that_is_gone_is_left() -> None:
    assert sorted(path.name for path in RENDERED.iterdir()) == PROFILES


@pytest.mark.parametrize("path", sorted(ROOT.glob("services/*/k8s.yaml.j2")), ids=lambda path: path.parent.name)
def test_a_service_takes_few_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


def test_a_new_strategy_trades_on_no_real_exchange_until_it_is_named(repository: Path) -> None:
    folder, like = repository / "services/strategy-carry", repository / "services/strategy-ema-cross"
    shutil.copytree(like, folder)
    described = (folder / "service.toml").read_text().replace("ema-cross", "carry").replace("EMA_CROSS", "CARRY")
    (folder / "service.toml").write_text(described)
    file = "3-services/strategy-carry.yaml"
    for name in PROFILES:
        assert (file in rendered(repository, name)) == (name != "prod_binance"), name
    profile = repository / "k8s/profiles/prod_binance.yaml"
    profile.write_text(profile.read_text() + "  strategy-carry: {}\n")
    assert file in rendered(repository, "prod_binance")


def test_the_same_repository_gives_the_same_bytes(repository: Path) -> None:
    assert rendered(repository) == rendered(repository) == tree("dev_local")


def test_a_folder_that_is_removed_is_gone_from_every_tree(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_tree(out, rendered(repository))
    assert (out / "3-services" / "risk.yaml").exists()
    shutil.rmtree(repository / "services" / "risk")
    changed = write_tree(out, rendered(repository))
    assert changed == [out / "3-services" / "risk.yaml"]
    assert not changed[0].exists()


def test_a_changed_setting_makes_another_config_map_and_another_pod(repository: Path) -> None:
    before = rendered(repository)
    profile = repository / "k8s" / "profiles" / "dev_local.yaml"
    profile.write_text(
        profile.read_text() + 'services:\n  recorder: {env: {TRADEWIND_RECORDER_CHUNK_RECORDS: "500"}}\n'
    )
    after = rendered(repository)
    assert [path for path in after if after[path] != before[path]] == ["3-services/recorder.yaml"]
    [name] = set(re.findall(r"recorder-[0-9a-f]{10}", after["3-services/recorder.yaml"]))
    assert name == hashed_name("recorder", {"TRADEWIND_RECORDER_CHUNK_RECORDS": "500"})
    assert after["3-services/recorder.yaml"].count(name) == 2


def test_one_service_may_run_another_version_alone(repository: Path) -> None:
    profile = repository / "k8s" / "profiles" / "dev_local.yaml"
    profile.write_text(profile.read_text() + "services:\n  strategy-ema-cross: {version: 0.2.7}\n")
    after = rendered(repository)
    assert [path for path in after if after[path] != tree("dev_local")[path]] == ["3-services/strategy-ema-cross.yaml"]
    assert "image: tradewind/strategy-ema-cross:0.2.7" in after["3-services/strategy-ema-cross.yaml"]


PROFILE_MISTAKES = {
    "a typo in a key": ("log_level: info", "log_lvel: info", 2, "there is no key 'log_lvel' here; there are: registry"),
    "a key twice": ("log_level: info", "log_level: info\nlog_level: debug", 3, "'log_level' stands twice"),
    "a value of a wrong type": ("log_level: info", "log_level: 3", 2, "log_level: "),
    "a value that is none": ("log_level: info", "log_level: loud", 2, "log_level: "),
    "no YAML": ("log_level: info", "log_level: [info", 3, "this is no YAML"),
    "an inner typo": ("run_as: 1000", "runas: 1000", 8, "there is no key 'runas' here; there are: image, run_as"),
    "an inner key that is missing": ("run_as: 1000, ", "", 8, "in_cluster lacks run_as"),
    "an image of whatever day": ("apache/kafka:4.4.0", "apache/kafka:latest", 8, "image: "),
    "an image without a version": ("apache/kafka:4.4.0", "apache/kafka", 8, "image: "),
    "no secret": ("  kind: kafka\n  secret: bus", "  kind: kafka", 5, "broker lacks secret"),
    "nowhere": ("  instruments: [BTCUSDT]", "  instruments: []", 4, "instruments: "),
    "a real exchange in development": (
        "  instruments: [BTCUSDT]",
        "  instruments: [BTCUSDT]\n  real: {rest_url: 'https://a.b', stream_url: 'wss://a.b', key_secret: k}",
        5,
        "a dev profile never reaches a real exchange",
    ),
}


@pytest.mark.parametrize("mistake", PROFILE_MISTAKES)
def test_a_mistake_in_a_profile_is_said_with_its_line(repository: Path, mistake: str) -> None:
    right, wrong, line, words = PROFILE_MISTAKES[mistake]
    path = repository / "k8s" / "profiles" / "dev_local.yaml"
    text = path.read_text()
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong))
    with pytest.raises(ManifestError) as caught:
        rendered(repository)
    assert str(caught.value).startswith(f"k8s/profiles/dev_local.yaml:{line}: {words}"), caught.value


@pytest.mark.parametrize(
    ("services", "line", "words"),
    [
        ("  recoder: {memory: 1Gi}", 16, "there is no service 'recoder'; there are: alerts, api, "),
        ("  recorder: {env: {TRADEWIND_RECORDER_CHUNKS: '5'}}", 16, "services/recorder/service.toml lists no variable"),
        ("  recorder:\n    env:\n      TRADEWIND_RECORDER_CHUNKS: '5'", 18, "services/recorder/service.toml lists no"),
        ("  execution: {replicas: 2}", 16, "execution writes alone: only one of it may run"),
        ("  risk: {max_replicas: 3}", 16, "risk writes alone"),
        ("  api: {replicas: 3, max_replicas: 2}", 16, "max_replicas must be above replicas"),
        ("  api: {memory: 1GB}", 16, "memory: "),
        ("  api: {version: ''}", 16, "version: "),
    ],
)
def test_a_mistake_about_a_service_is_said_with_its_line(
    repository: Path, services: str, line: int, words: str
) -> None:
    path = repository / "k8s" / "profiles" / "dev_local.yaml"
    assert len(path.read_text().splitlines()) == 14
    path.write_text(f"{path.read_text()}services:\n{services}\n")
    with pytest.raises(ManifestError) as caught:
        rendered(repository)
    assert str(caught.value).startswith(f"k8s/profiles/dev_local.yaml:{line}: {words}"), caught.value


def test_one_copy_inside_the_cluster_is_for_development(repository: Path) -> None:
    profiles = repository / "k8s" / "profiles"
    (profiles / "staging_copy.yaml").write_text((profiles / "dev_local.yaml").read_text())
    with pytest.raises(ManifestError, match=r"staging_copy\.yaml:8: broker: one copy inside the cluster is for dev"):
        load_profile(repository, "staging_copy")


def test_a_profile_is_named_by_environment_and_name(repository: Path) -> None:
    profiles = repository / "k8s" / "profiles"
    (profiles / "main.yaml").write_text((profiles / "dev_local.yaml").read_text())
    with pytest.raises(ManifestError, match="is named <environment>_<name>"):
        load_profile(repository, "main")
    with pytest.raises(ManifestError, match="there is no profile 'prod'; there are: dev_local, "):
        load_profile(repository, "prod")


@pytest.mark.parametrize(
    ("right", "wrong", "place", "words"),
    [
        ("k8s.disruption_budget()", "k8s.disruption_budgte()", "services/risk/k8s.yaml.j2:8", "disruption_budgte"),
        ("k8s.deployment(settings)", "k8s.deployment(settings, wirter=true)", "services/risk/k8s.yaml.j2:6", "wirter"),
        ("service.settings()", "service.setings()", "services/risk/k8s.yaml.j2:3", "setings"),
        (
            "{{ k8s.deployment(settings) }}",
            "{{ k8s.deployment(settings) }",
            "services/risk/k8s.yaml.j2:6",
            "unexpected",
        ),
        (
            "{{ k8s.deployment(settings) }}",
            "kind: [",
            "services/risk/k8s.yaml.j2 as rendered for dev_local:",
            "no YAML",
        ),
        ("{{ k8s.deployment(settings) }}", "[1]\n---", "services/risk/k8s.yaml.j2: ", "this is no Kubernetes object"),
        (
            "{{ k8s.disruption_budget() }}",
            "{{ k8s.disruption_budget() }}{{ k8s.disruption_budget() }}",
            "services/risk/k8s.yaml.j2: ",
            "PodDisruptionBudget risk is made twice",
        ),
        (
            "service.settings()",
            'service.settings({"TRADEWIND_RISK_NERVE": "1"})',
            "services/risk/k8s.yaml.j2:1: ",
            "services/risk/service.toml lists no variable TRADEWIND_RISK_NERVE",
        ),
    ],
)
def test_a_mistake_in_a_template_is_said_with_its_place(
    repository: Path, right: str, wrong: str, place: str, words: str
) -> None:
    path = repository / "services" / "risk" / "k8s.yaml.j2"
    assert path.read_text().count(right) == 1
    path.write_text(path.read_text().replace(right, wrong))
    with pytest.raises(ManifestError) as caught:
        rendered(repository)
    assert str(caught.value).startswith(place), caught.value
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_macro_is_said_at_the_macro(repository: Path) -> None:
    path = repository / "k8s" / "macros" / "service.yaml.j2"
    path.write_text(path.read_text().replace("pod.resources(", "pod.resuorces("))
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "pod.resuorces(" in text)
    with pytest.raises(ManifestError, match=rf"^k8s/macros/service\.yaml\.j2:{line}: .*resuorces"):
        rendered(repository)


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ('"postgres", ', '"postgre", ', "postgre"),
        ('memory = "128Mi"', 'memory = "128Mi"\nswap = "1Gi"', "swap"),
        ('name = "risk"', 'name = "risks"', "it must be the folder's, 'risk'"),
        ("[resources]", "[resources", "line 6"),
    ],
)
def test_a_mistake_in_service_toml_is_said(repository: Path, right: str, wrong: str, words: str) -> None:
    path = repository / "services" / "risk" / "service.toml"
    assert path.read_text().count(right) == 1
    path.write_text(path.read_text().replace(right, wrong))
    with pytest.raises(ManifestError, match=rf"^services/risk/service\.toml: .*{words}") as caught:
        rendered(repository)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("cpu", "limit"), [("100m", "1"), ("500m", "1"), ("750m", "1500m"), ("2", "4")])
def test_the_limit_of_cpu(cpu: str, limit: str) -> None:
    assert cpu_limit(cpu) == limit


def test_the_command_prints_in_the_order_of_applying(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "services" / "risk")
    kinds = re.findall(r"^kind: (\w+)", invoke("k8s", "render", "dev_local").output, re.MULTILINE)
    assert kinds[0] == "Namespace"
    assert kinds.index("StatefulSet") < kinds.index("Job") < kinds.index("Deployment")


def test_the_command_writes_trees_and_finds_drift(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    render_all = ("k8s", "render", *PROFILES, "--out", "out")
    assert invoke(*render_all).exit_code == 0
    assert invoke(*render_all, "--check").exit_code == 0
    (repository / "out" / "dev_local" / "3-services" / "old.yaml").write_text("kind: Pod\n")
    path = repository / "out" / "prod_main" / "3-services" / "risk.yaml"
    path.write_text(path.read_text() + "# by hand\n")
    drifted = invoke(*render_all, "--check")
    assert drifted.exit_code == 1
    assert drifted.output.splitlines() == [
        "out/dev_local/3-services/old.yaml is there no more",
        "out/prod_main/3-services/risk.yaml is different",
    ]
    refused = invoke(*render_all)
    assert "old.yaml was not written by this command and would be lost" in str(refused.exception)


def test_the_command_takes_another_version(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    output = invoke("k8s", "render", "dev_local", "--version", "7fe29a1").output
    assert output.count("image: tradewind/") == output.count(":7fe29a1\n") - output.count("change-cause")


def test_the_command_says_when_it_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is not inside a repository of Tradewind" in str(invoke("k8s", "profiles").exception)


def test_profiles_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert invoke("k8s", "profiles", "--names").output.split() == PROFILES
    for name in PROFILES:
        assert name in invoke("k8s", "profiles").output


@pytest.mark.parametrize("command", ["render", "profiles"])
def test_help_teaches_with_examples(command: str) -> None:
    assert f"tradewind k8s {command}" in invoke("k8s", command, "--help").output.partition("Examples")[2]


def test_images_of_others_are_those_of_compose() -> None:
    named = {
        default
        for path in (ROOT / "docker").glob("*.yaml")
        for default in re.findall(r"\$\{[A-Z]+_IMAGE:-([^}]+)\}", path.read_text())
    }
    used = {
        image
        for profile in ("dev_local", "dev_rabbitmq")
        for image in re.findall(r"image: (\S+)", "".join(tree(profile).values()))
        if "tradewind/" not in image
    }
    assert len(used) == 4
    assert used <= named
