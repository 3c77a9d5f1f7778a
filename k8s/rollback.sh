#!/bin/bash
# Takes services of a namespace back: rollback.sh NAMESPACE [SERVICE [REVISION]]. Without SERVICE all of them go to the
# revision before; `kubectl rollout history` lists a service's revisions. Settings go back with the image.
set -euo pipefail
namespace=${1:?usage: rollback.sh NAMESPACE [SERVICE [REVISION]]}
in_namespace() { "${KUBECTL:-kubectl}" ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} --namespace "$namespace" "$@"; }
if [ -n "${2:-}" ]; then names=("deployment.apps/$2"); else mapfile -t names < <(in_namespace get deployment -l tradewind-tree=services -o name); fi
[ "${#names[@]}" -gt 0 ] || { echo "there are no services in $namespace" >&2; exit 2; }
failed=0
for name in "${names[@]}"; do
    in_namespace rollout undo "$name" ${3:+--to-revision "$3"} 2> >(grep -v 'previously managed' >&2) || { echo "$name: no revision to go back to" >&2; failed=1; }
done
for name in "${names[@]}"; do
    in_namespace rollout status "$name" --timeout "${ROLLOUT_TIMEOUT_S:-300}s" || failed=1
    in_namespace rollout history "$name" | tail -n 3
done
exit "$failed"
