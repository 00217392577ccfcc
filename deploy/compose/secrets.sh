#!/bin/sh
# Makes what docker-compose.yml needs to know in secret, at random and once: `sh deploy/compose/secrets.sh [FOLDER]`.
# FOLDER is .secrets beside docker-compose.yml unless given; `.env` there is told where it is. What exists stays as it is.
set -eu
umask 077

ROOT=$(cd "$(dirname "$0")/../.." && pwd -P)
FOLDER=${1:-$ROOT/.secrets}
case $FOLDER in
/*) ;;
*) FOLDER=$PWD/$FOLDER ;; # Compose would look for it beside docker-compose.yml.
esac
ENV_FILE=${ENV_FILE:-$ROOT/.env}

hexadecimal() { od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

in_base64() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }

# keep NAME: what is on standard input, as the file NAME of the new folder.
keep() { cat >"$new/$1"; }

make_all() {
    rabbit=$(hexadecimal 24) mongo=$(hexadecimal 24) redis=$(hexadecimal 24)
    # Hexadecimal, as these stand in URLs.
    printf 'amqp://flickrhub:%s@rabbitmq:5672/\n' "$rabbit" | keep rabbit_url
    printf 'default_user = flickrhub\ndefault_pass = %s\n' "$rabbit" | keep rabbitmq_conf
    printf 'mongodb://flickrhub:%s@mongo:27017/?authSource=flickrhub&replicaSet=rs0\n' "$mongo" | keep mongo_url
    printf '%s\n' "$mongo" | keep mongo_password
    hexadecimal 24 | keep mongo_root_password
    in_base64 96 | keep mongo_keyfile
    printf 'redis://:%s@redis:6379/0\n' "$redis" | keep redis_url
    printf 'requirepass %s\n' "$redis" | keep redis_conf
    printf '%s\n' "$redis" | keep redis_password
    hexadecimal 32 | keep internal_api_token
    printf 'k1:%s\n' "$(in_base64 32)" | keep encryption_keys
    hexadecimal 16 | keep grafana_admin_password
    # Containers read them as other users; the folder is what keeps this machine's other users out.
    chmod 444 "$new"/*
}

if [ -e "$FOLDER" ]; then
    echo "$FOLDER is there already: nothing changed."
else
    # All or nothing: the passwords of a server and of its clients belong together.
    new=$(mktemp -d "$FOLDER.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    make_all
    mv "$new" "$FOLDER"
    trap - EXIT
    echo "Secrets made in $FOLDER. Keep a copy of encryption_keys: without it no stored token can be read."
fi

if ! grep -qs '^FLICKRHUB_SECRETS=' "$ENV_FILE"; then
    # Its last line may lack an end, and must not get two settings.
    [ -z "$(tail -c 1 "$ENV_FILE" 2>/dev/null)" ] || echo >>"$ENV_FILE"
    printf 'FLICKRHUB_SECRETS=%s\n' "$FOLDER" >>"$ENV_FILE"
    echo "Noted in $ENV_FILE."
fi
