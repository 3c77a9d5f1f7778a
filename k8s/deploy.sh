#!/bin/bash
# Brings one rendered tree to its namespace: deploy.sh TREE, for example k8s/rendered/staging_main.
#
# Platform, then the migration, then the services, each after the one before. If a service does not come up, every
# service that was changed goes back to the revision that it had, and the exit status is 1. What the tree has no more is
# removed at the end. KUBECTL names another kubectl, KUBE_CONTEXT the cluster, ROLLOUT_TIMEOUT_S how long each step may
# take (300).
set -euo pipefail
tree=${1:?usage: deploy.sh TREE}
kubectl=("${KUBECTL:-kubectl}" ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"})
timeout_s=${ROLLOUT_TIMEOUT_S:-300}
[ -f "$tree/1-platform/00-namespace.yaml" ] || { echo "$tree is no rendered tree; make one: tradewind k8s render" >&2; exit 2; }
namespace=$(sed -n 's/^  name: //p' "$tree/1-platform/00-namespace.yaml")
in_namespace() { "${kubectl[@]}" --namespace "$namespace" "$@"; }
deployments() { for file in "$tree"/3-services/*.yaml; do basename "$file" .yaml; done; }
revision() { in_namespace get deployment "$1" --ignore-not-found -o 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'; }

platform() {
    "${kubectl[@]}" apply -f "$tree/1-platform/00-namespace.yaml"
    local missing=""
    for secret in $(awk '/secretName:/ {print $2} after && /name:/ {print $2} {after = /- secret:/ || /imagePullSecrets:/}' \
        "$tree"/*/*.yaml | sort -u); do
        in_namespace get secret "$secret" >/dev/null 2>&1 || missing+=" $secret"
    done
    [ -z "$missing" ] || { echo "these Secrets are missing in $namespace:$missing; see docs/running-on-kubernetes.md" >&2; exit 2; }
    in_namespace apply -f "$tree/1-platform"
    for store in $(in_namespace get statefulset -l tradewind-tree=platform -o name); do
        in_namespace rollout status "$store" --timeout "${timeout_s}s"
    done
}

migration() {
    in_namespace apply -f "$tree/2-migration"
    local job end=$((SECONDS + timeout_s)) ended=""
    job=$(awk '/^kind: Job/ {job = 1} job && /^  name:/ {print $2; exit}' "$tree/2-migration/migrate.yaml")
    while [ "$SECONDS" -lt "$end" ]; do
        ended=$(in_namespace get job "$job" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}')
        case "$ended" in
            *Complete*) echo "job $job: the database has this version's schema"; return ;;
            *Failed*) break ;;
        esac
        sleep 1
    done
    echo "the migration ${ended:-did not end within $timeout_s s}; nothing else was changed. Its last words:" >&2
    in_namespace logs "job/$job" --tail 20 >&2 || true
    exit 1
}

undo() {
    local name before
    for name in $(deployments); do
        before=${revisions[$name]:-}
        if [ -z "$before" ]; then
            echo "$name is new here: there is nothing to go back to, it stays as it is" >&2
        elif [ "$(revision "$name")" != "$before" ]; then
            # kubectl warns that the next apply starts from what was undone; a tree names every field that it sets.
            in_namespace rollout undo "deployment/$name" --to-revision "$before" 2> >(grep -v 'previously managed' >&2) >&2
        fi
    done
    for name in $(deployments); do
        [ -z "${revisions[$name]:-}" ] || in_namespace rollout status "deployment/$name" --timeout "${timeout_s}s" >&2 ||
            echo "$name did not come back either: look at it now" >&2
    done
}

services() {
    local name failed=""
    declare -gA revisions
    for name in $(deployments); do revisions[$name]=$(revision "$name"); done
    in_namespace apply -f "$tree/3-services"
    for name in $(deployments); do
        in_namespace rollout status "deployment/$name" --timeout "${timeout_s}s" || failed+=" $name"
    done
    [ -n "$failed" ] || return 0
    echo "did not come up:$failed; everything that was changed goes back" >&2
    for name in $failed; do
        in_namespace get pods -l "app.kubernetes.io/name=$name" >&2 || true
        in_namespace logs "deployment/$name" --tail 20 >&2 || true
    done
    undo
    exit 1
}

tidy() {
    in_namespace apply -f "$tree/3-services" --prune -l tradewind-tree=services \
        --prune-allowlist core/v1/Service --prune-allowlist core/v1/ServiceAccount --prune-allowlist apps/v1/Deployment \
        --prune-allowlist networking.k8s.io/v1/NetworkPolicy --prune-allowlist networking.k8s.io/v1/Ingress \
        --prune-allowlist policy/v1/PodDisruptionBudget --prune-allowlist autoscaling/v2/HorizontalPodAutoscaler |
        grep -v -e unchanged -e configured || true
    # Settings that no revision which `rollout undo` could go back to refers to.
    local used config
    used=$(in_namespace get replicaset,deployment -o 'jsonpath={..configMapRef.name}' | tr ' ' '\n')
    for config in $(in_namespace get configmap -l app.kubernetes.io/part-of=tradewind -o 'jsonpath={.items[*].metadata.name}'); do
        grep -qxF "$config" <<<"$used" || in_namespace delete configmap "$config"
    done
}

platform
migration
services
tidy
echo "$namespace is as $tree says"
