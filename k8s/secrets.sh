#!/bin/bash
# Makes the Secrets of a namespace: secrets.sh NAMESPACE FOLDER. FOLDER/<secret>/<key> holds one value. Where there is no
# FOLDER yet, one is made with random passwords for what a dev profile runs itself.
set -euo pipefail
namespace=${1:?usage: secrets.sh NAMESPACE FOLDER}
folder=${2:?usage: secrets.sh NAMESPACE FOLDER}
kubectl=("${KUBECTL:-kubectl}" ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"})
password() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; } # 48 characters, always

make_folder() {
    case "$namespace" in tradewind-dev-*) ;; *) echo "$folder is missing: only those of a dev profile can be made up" >&2; exit 2 ;; esac
    umask 077
    mkdir -p "$folder/bus" "$folder/postgres"
    local postgres rabbitmq
    postgres=$(password); rabbitmq=$(password)
    printf '%s' "$postgres" >"$folder/postgres/password"
    printf 'postgresql://tradewind:%s@postgres:5432/tradewind' "$postgres" >"$folder/postgres/url"
    if [ "$namespace" = tradewind-dev-rabbitmq ]; then
        printf 'amqp://tradewind:%s@rabbitmq:5672/' "$rabbitmq" >"$folder/bus/url"
        printf 'default_user = tradewind\ndefault_pass = %s\n' "$rabbitmq" >"$folder/bus/conf"
    else
        printf 'kafka://kafka:9092' >"$folder/bus/url"
    fi
}

[ -d "$folder" ] || make_folder
"${kubectl[@]}" create namespace "$namespace" --dry-run=client -o yaml | "${kubectl[@]}" apply --server-side -f - >/dev/null
for secret in "$folder"/*/; do
    # Applied by the server: the usual way would keep a second copy of the values in an annotation.
    "${kubectl[@]}" --namespace "$namespace" create secret generic "$(basename "$secret")" --from-file="$secret" --dry-run=client -o yaml |
        "${kubectl[@]}" apply --server-side --force-conflicts -f -
done
