"""Rules that the manifests of every profile keep, whatever a template says."""

import re
import tomllib
from importlib.metadata import entry_points
from typing import Any

import pytest
from k8s_trees import PROFILES, ROOT, Document, container_of, documents, environment_of, of_kind, pod_of, the_one, tree

from tradewind.runtime.processes.child import STOP_MARGIN_S
from tradewind.runtime.service import Service
from tradewind.runtime.settings import PREFIX, PlatformSettings, load_settings, names_secret, service_prefix
from tradewind.runtime.supervising import STOP_BUDGET_S, load_service_settings
from tradewind.runtime.venue_target import venue_target

SERVICES: dict[str, Service] = {point.name: point.load() for point in entry_points(group="tradewind.services")}
WORKLOADS = ("Deployment", "StatefulSet", "Job")
NAME = "app.kubernetes.io/name"
SEVERAL_MAY_RUN = {"api", "ui"}
PAGE = "ui"  # files behind nginx: no process of the platform, so without its settings, secrets and metrics

pytestmark = pytest.mark.parametrize("profile", PROFILES)


def amount(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([a-zA-Z]*)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"": 1.0, "m": 0.001, "Mi": 2.0**20, "Gi": 2.0**30}[unit]


def deployments(profile: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for _, one in of_kind(profile, "Deployment")}


def processes(profile: str) -> dict[str, Document]:
    """Those that run ``tradewind``."""
    return {name: one for name, one in deployments(profile).items() if name != PAGE}


def test_every_service_folder_is_there_and_nothing_else(profile: str) -> None:
    folders = {path.parent.name for path in ROOT.glob("services/*/service.toml")}
    left_out = {"fix-gateway", *{"prod_binance": {"sim-venue", "strategy-market-maker"}}.get(profile, set())}
    assert set(deployments(profile)) == folders - left_out
    assert {path for path in tree(profile) if path.startswith("3-")} == {
        f"3-services/{name}.yaml" for name in folders - left_out
    }


def test_selector_and_label_and_folder_have_one_name(profile: str) -> None:
    for path, one in of_kind(profile, "Deployment", "StatefulSet"):
        name = one["metadata"]["name"]
        assert one["spec"]["selector"] == {"matchLabels": {NAME: name}}, path
        assert pod_of(one)["metadata"]["labels"][NAME] == one["metadata"]["labels"][NAME] == name
        assert pod_of(one)["spec"]["serviceAccountName"] == container_of(one)["name"] == name
        assert path == (f"3-services/{name}.yaml" if one["kind"] == "Deployment" else f"1-platform/{name}.yaml")
    for path, one in of_kind(profile, "Service"):
        if one["spec"].get("type") != "ExternalName":
            assert one["spec"]["selector"] == {NAME: one["metadata"]["name"]}, path
    for path, one in of_kind(profile, "PodDisruptionBudget"):
        assert one["spec"]["selector"] == {"matchLabels": {NAME: one["metadata"]["name"]}}, path


def test_everything_lies_in_the_namespace_of_the_profile(profile: str) -> None:
    namespace = "tradewind-" + profile.replace("_", "-")
    assert documents(profile)[0][1]["metadata"]["name"] == namespace
    assert {one["metadata"].get("namespace", namespace) for _, one in documents(profile)} == {namespace}
    assert [one["kind"] for _, one in documents(profile) if "namespace" not in one["metadata"]] == ["Namespace"]


def test_every_pod_is_confined(profile: str) -> None:
    for path, one in of_kind(profile, *WORKLOADS):
        pod, container = pod_of(one)["spec"], container_of(one)
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, path
        assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] != 0
        if one["kind"] != "StatefulSet":
            assert context["runAsUser"] == 10001, path
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, path
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume] if "volumes" in pod else True
        assert the_one(profile, "ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False


def test_every_container_has_requests_and_limits(profile: str) -> None:
    for path, one in of_kind(profile, *WORKLOADS):
        resources = container_of(one)["resources"]
        for what in ("cpu", "memory"):
            assert 0 < amount(resources["requests"][what]) <= amount(resources["limits"][what]), path
        assert resources["requests"]["memory"] == resources["limits"]["memory"], path


def test_resources_are_those_of_service_toml_unless_the_profile_says_so(profile: str) -> None:
    for name, one in deployments(profile).items():
        said = tomllib.loads((ROOT / "services" / name / "service.toml").read_text())["resources"]
        asked = container_of(one)["resources"]["requests"]
        if not (name == "recorder" and profile.startswith("prod_")):
            assert asked == said, name
        assert amount(asked["memory"]) >= amount(said["memory"])


def test_images_are_pinned_and_never_latest(profile: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for path, one in of_kind(profile, *WORKLOADS):
        name, _, tag = container_of(one)["image"].rpartition(":")
        assert name, path
        assert re.search(r"\d", tag), path
        assert "latest" not in tag
        if one["kind"] == "Deployment":
            assert name.endswith(f"tradewind/{one['metadata']['name']}"), path
            assert tag == version


def test_every_service_is_probed_on_the_health_port(profile: str) -> None:
    for name, one in deployments(profile).items():
        container = container_of(one)
        assert {"name": "health", "containerPort": 9100} in container["ports"], name
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": "health"}, name
            assert container[probe]["timeoutSeconds"] >= 1
        # Not so impatient that one slow moment ends a process that trades.
        alive = container["livenessProbe"]
        assert alive["periodSeconds"] * alive["failureThreshold"] >= 30
        assert name == PAGE or environment_of(profile, one)["TRADEWIND_HEALTH_PORT"] == "9100"


def test_the_grace_period_is_longer_than_the_services_own_way_to_stop(profile: str) -> None:
    for name, one in deployments(profile).items():
        [command] = [container_of(one)["lifecycle"]["preStop"]["exec"]["command"]]
        assert command[0] == "sleep"
        own_s = max(STOP_BUDGET_S, SERVICES[name].stop_budget_s if name in SERVICES else 0) + STOP_MARGIN_S
        assert pod_of(one)["spec"]["terminationGracePeriodSeconds"] > int(command[1]) + own_s, name


def test_what_writes_alone_is_never_there_twice(profile: str) -> None:
    for name, one in deployments(profile).items():
        if name in SEVERAL_MAY_RUN:
            assert one["spec"]["strategy"] == {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            }
        else:
            assert (one["spec"]["strategy"], one["spec"]["replicas"]) == ({"type": "Recreate"}, 1), name
    scaled = {one["spec"]["scaleTargetRef"]["name"] for _, one in of_kind(profile, "HorizontalPodAutoscaler")}
    assert scaled == (set() if profile.startswith("dev_") else SEVERAL_MAY_RUN - {PAGE})
    for name in scaled:
        assert "replicas" not in deployments(profile)[name]["spec"], "each apply would undo the autoscaler's work"


def test_every_service_has_its_policy_its_budget_and_its_spread(profile: str) -> None:
    for name, one in deployments(profile).items():
        policy = the_one(profile, "NetworkPolicy", name)["spec"]
        assert policy["podSelector"] == {"matchLabels": {NAME: name}}
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        assert the_one(profile, "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
        spread = pod_of(one)["spec"]["topologySpreadConstraints"]
        assert {constraint["labelSelector"]["matchLabels"][NAME] for constraint in spread} == {name}


def test_everything_is_denied_first_and_each_may_reach_only_what_it_needs(profile: str) -> None:
    everything = the_one(profile, "NetworkPolicy", "deny-all")["spec"]
    assert everything == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {"market-data-bus": {9092, 9093, 5672}, "postgres": {5432}, "redis": {6379}, "venue": {8081, 443, 9443}}
    ports["api"] = {8080}
    for name, one in deployments(profile).items():
        needs = set(tomllib.loads((ROOT / "services" / name / "service.toml").read_text())["needs"])
        labels = {key.removeprefix("needs-") for key in pod_of(one)["metadata"]["labels"] if key.startswith("needs-")}
        assert labels == needs, name
        rules = the_one(profile, "NetworkPolicy", name)["spec"]["egress"]
        assert len(rules) == len(needs - {"orders-bus"}), name
        allowed = {port["port"] for rule in rules for port in rule["ports"]}
        assert all(rule["to"] for rule in rules)
        for need, its_ports in ports.items():
            assert bool(allowed & its_ports) is (need in needs), (name, need)
        assert allowed <= set().union(*ports.values())


def test_only_alerts_reaches_people_and_only_where_the_profile_says_how(profile: str) -> None:
    names = {one["metadata"]["name"] for _, one in of_kind(profile, "NetworkPolicy")}
    holders = {
        name
        for name, one in processes(profile).items()
        if any(path.endswith("webhook_url") for path in _secret_files(one))
    }
    tells = profile.startswith("prod_")
    assert ("alerts-notifications" in names) is tells
    assert holders == ({"alerts"} if tells else set())
    if tells:
        [rule] = the_one(profile, "NetworkPolicy", "alerts-notifications")["spec"]["egress"]
        assert {port["port"] for port in rule["ports"]} == {443, 587}
        assert "10.0.0.0/8" in rule["to"][0]["ipBlock"]["except"]


def test_traces_leave_only_where_the_profile_says_where_to(profile: str) -> None:
    has_traces = profile.startswith("staging_")
    config = next(one["data"] for path, one in of_kind(profile, "ConfigMap") if path == "1-platform/config.yaml")
    names = {one["metadata"]["name"] for _, one in of_kind(profile, "NetworkPolicy")}
    assert ("TRADEWIND_TRACING_OTLP_URL" in config) is ("traces" in names) is has_traces
    if has_traces:
        [rule] = the_one(profile, "NetworkPolicy", "traces")["spec"]["egress"]
        assert [port["port"] for port in rule["ports"]] == [4318]
        assert [list(one) for one in rule["to"]] == [["namespaceSelector"]]


def test_no_secret_stands_in_a_manifest(profile: str) -> None:
    assert not list(of_kind(profile, "Secret"))
    for path, one in documents(profile):
        for name, value in _variables(one):
            if names_secret(name.removesuffix("_FILE")) and not name.endswith("_FILE"):
                assert re.fullmatch(r"redis://redis:6379/0|https?://[^@]+", value), f"{path}: {name} must be a file"
        assert not re.search(r"://[^/\s]*:[^/\s]*@", str(one)), f"{path}: an address with a password"
        assert "secretKeyRef" not in str(one), f"{path}: a secret in the environment shows in `kubectl exec env`"


def _variables(one: Document) -> list[tuple[str, str]]:
    if one["kind"] == "ConfigMap":
        return list(one["data"].items())
    if one["kind"] in WORKLOADS:
        return [(variable["name"], variable["value"]) for variable in container_of(one).get("env", ())]
    return []


def test_every_variable_exists_in_the_code_and_takes_its_value(profile: str) -> None:
    platform = {PREFIX + name.upper() for name in PlatformSettings.__struct_fields__}
    for name, one in processes(profile).items():
        variables = environment_of(profile, one)
        own = {service_prefix(name) + field.upper() for field in SERVICES[name].settings.__struct_fields__}
        assert {variable.removesuffix("_FILE") for variable in variables} <= platform | own, name
        plain = {variable: value for variable, value in variables.items() if not variable.endswith("_FILE")}
        load_settings(PlatformSettings, environ=plain)
        load_service_settings({name: SERVICES[name]}, plain)
    for _, job in of_kind(profile, "Job"):
        assert {variable.removesuffix("_FILE") for variable in environment_of(profile, job)} <= platform


def test_a_files_variable_leads_to_a_secret_that_is_mounted(profile: str) -> None:
    for one in [*processes(profile).values(), *(job for _, job in of_kind(profile, "Job"))]:
        mounted = set(_secret_files(one))
        named = {value for variable, value in environment_of(profile, one).items() if variable.endswith("_FILE")}
        assert named == mounted, one["metadata"]["name"]


def _secret_files(one: Document) -> list[str]:
    [volume] = [volume for volume in pod_of(one)["spec"]["volumes"] if volume["name"] == "secrets"]
    [mount] = [mount for mount in container_of(one)["volumeMounts"] if mount["name"] == "secrets"]
    assert mount["readOnly"] is True
    parts: list[dict[str, Any]] = (
        [source["secret"] for source in volume["projected"]["sources"]] if "projected" in volume else [volume["secret"]]
    )
    return [f"{mount['mountPath']}/{item['path']}" for part in parts for item in part["items"]]


def test_the_page_holds_no_secret_and_no_setting_of_the_platform(profile: str) -> None:
    page = deployments(profile)[PAGE]
    assert [volume["name"] for volume in pod_of(page)["spec"]["volumes"]] == ["tmp"]
    assert set(environment_of(profile, page)) == {"TRADEWIND_UI_API_URL"}
    assert {one["metadata"]["name"] for _, one in of_kind(profile, "Ingress")} <= {PAGE}


def test_settings_are_immutable_and_named_by_what_they_hold(profile: str) -> None:
    maps = {one["metadata"]["name"]: one for _, one in of_kind(profile, "ConfigMap")}
    assert all(one["immutable"] and re.search(r"-[0-9a-f]{10}$", name) for name, one in maps.items())
    used = {
        source["configMapRef"]["name"]
        for _, one in of_kind(profile, "Deployment")
        for source in container_of(one)["envFrom"]
    }
    assert used == set(maps)


def test_the_migration_is_a_job_that_the_services_wait_for(profile: str) -> None:
    [(path, job)] = of_kind(profile, "Job")
    assert path == "2-migration/migrate.yaml"
    assert container_of(job)["args"] == ["tradewind", "db", "migrate"]
    assert container_of(job)["image"].rsplit("/", 1)[-1].startswith("runtime:")
    for name, one in processes(profile).items():
        assert environment_of(profile, one)["TRADEWIND_SCHEMA"] == "wait", name


def test_only_execution_holds_keys_and_only_where_the_profile_names_them(profile: str) -> None:
    holders = {
        name
        for name, one in processes(profile).items()
        if any(path.endswith("venue_api_key") for path in _secret_files(one))
    }
    assert holders == ({"execution"} if profile == "prod_binance" else set())


def test_orders_go_where_the_profile_says_and_each_service_would_say_so(profile: str) -> None:
    for name, one in processes(profile).items():
        variables = environment_of(profile, one)
        keys = {"TRADEWIND_VENUE_API_KEY": "k", "TRADEWIND_VENUE_API_SECRET": "s"} if name == "execution" else {}
        plain = {variable: value for variable, value in variables.items() if not variable.endswith("_FILE")}
        target = venue_target(load_settings(PlatformSettings, environ=plain | keys))
        assert target.real is (profile == "prod_binance"), name
        assert ("https://api.binance.com" in target.sentence) is target.real


def test_the_page_leaves_the_cluster_only_behind_a_password(profile: str) -> None:
    for path, one in of_kind(profile, "Ingress"):
        assert one["metadata"]["annotations"], path
        assert one["spec"]["tls"][0]["hosts"] == [rule["host"] for rule in one["spec"]["rules"]]
        api = environment_of(profile, deployments(profile)["api"])
        assert one["spec"]["rules"][0]["host"] in api["TRADEWIND_API_ALLOWED_HOSTS"].split(",")
    assert bool(list(of_kind(profile, "Ingress"))) is not profile.startswith("dev_")
    assert all(
        one["spec"].get("type", "ClusterIP") in ("ClusterIP", "ExternalName") for _, one in of_kind(profile, "Service")
    )


def test_stores_run_in_the_cluster_only_in_dev(profile: str) -> None:
    names = {one["metadata"]["name"] for _, one in of_kind(profile, "StatefulSet")}
    broker = "rabbitmq" if profile == "dev_rabbitmq" else "kafka"
    assert names == ({broker, "postgres", "redis"} if profile.startswith("dev_") else set())
    outside = {one["metadata"]["name"] for _, one in of_kind(profile, "Service") if one["spec"].get("externalName")}
    assert outside == ({broker, "postgres", "redis"} - names)
