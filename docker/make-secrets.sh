#!/bin/bash
# Makes a folder of secrets for compose, with random passwords: make-secrets.sh FOLDER; then TRADEWIND_SECRETS=FOLDER.
# The keys of the exchange are yours to fill in: venue_api_key and venue_api_secret; until then the simulated venue's.
set -euo pipefail
folder=${1:?usage: make-secrets.sh FOLDER}
[ ! -e "$folder" ] || { echo "$folder exists; take another name, or remove it yourself" >&2; exit 1; }
password() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; } # 48 characters, always
# The folder keeps others out; the files must be readable to the containers' users, whom this machine does not know.
install -d -m 0711 "$folder"
cd "$folder"
postgres=$(password); rabbitmq=$(password)
printf '%s\n' "$postgres" >postgres_password
printf 'postgresql://tradewind:%s@postgres:5432/tradewind\n' "$postgres" >postgres_dsn
printf 'kafka://kafka:9092\n' >kafka_url
printf 'amqp://tradewind:%s@rabbitmq:5672/\n' "$rabbitmq" >rabbitmq_url
printf 'default_user = tradewind\ndefault_pass = %s\n' "$rabbitmq" >rabbitmq.conf
password >grafana_password
printf '%s\n' demo-key >venue_api_key
password >venue_api_secret
printf 'operator:admin:%s\n' "$(password)" >api_operator_tokens # of operators' scripts: docs/operating/security.md
chmod 0444 -- *
echo "made; use it with TRADEWIND_SECRETS=$(pwd)"
