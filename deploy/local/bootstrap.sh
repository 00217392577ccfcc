#!/bin/sh
# Install what the local stack needs and doesn't find: `bootstrap.sh python`, `bootstrap.sh servers`, or
# `bootstrap.sh bench`, which is the servers and the nginx that stands for Flickr in `make bench`; and
# `bootstrap.sh kubectl`, which renders deploy/k8s; and `bootstrap.sh prometheus`, which reads its rules and `/metrics`.
#
# Runs as root or as a user with sudo, again and again: with everything in place it only looks. What it can't install it
# names in one line, and ends with 1.
set -eu

ROOT=$(cd "$(dirname "$0")/../.." && pwd -P)
VENV="$ROOT/.venv"
PACKAGES="libs/common libs/flickr_sim libs/dlq services/gateway services/auth services/executor services/notifier"
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="FlickrHub's bootstrap"
apt_is_fresh=no
policy_is_ours=no
log=

# One at a time in this checkout.
if command -v flock >/dev/null 2>&1; then
    exec 9<"$ROOT/deploy/local/bootstrap.sh"
    flock 9
fi

say() { printf '%s\n' "$*"; }

fail() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

tidy() {
    status=$?
    trap - EXIT
    [ "$policy_is_ours" = no ] || as_root rm -f "$POLICY"
    [ -z "$log" ] || rm -f "$log"
    exit "$status"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Run quietly. When it fails, show the end of what it said, without the names of package servers.
quietly() {
    [ -n "$log" ] || log=$(mktemp)
    "$@" >"$log" 2>&1 9<&- && return 0
    sed -e 's#[a-z]*://[^/ ]*#(package server)#g' "$log" | tail -n 15 >&2
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Whether packages can be installed: apt, and root or sudo (with a password only if there is a terminal to ask on).
can_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" -eq 0 ] && return 0
    command -v sudo >/dev/null 2>&1 || return 1
    sudo -n true 2>/dev/null && return 0
    [ -t 0 ] && [ -t 2 ] && sudo -v -p "Password of %u, to install packages: "
}

# The distribution starts every server it installs, on the default ports: a policy forbids it meanwhile. One that is
# there already (as in containers) stays.
forbid_starting_services() {
    if [ -e "$POLICY" ] && ! grep -q "$POLICY_MARK" "$POLICY"; then
        return 0
    fi
    policy_is_ours=yes
    printf '#!/bin/sh\n# %s: removed when it is done.\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

allow_starting_services() {
    [ "$policy_is_ours" = no ] || as_root rm -f "$POLICY"
    policy_is_ours=no
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

apt_install() {
    can_install || return 1
    say "Installing $* from the distribution …"
    # A source that can't be reached doesn't matter if the packages come from another: installing decides.
    [ "$apt_is_fresh" = yes ] || quietly apt update || true
    apt_is_fresh=yes
    forbid_starting_services
    quietly apt install --no-install-recommends "$@" || return 1
    allow_starting_services
}

# Not at the next boot either. Only for servers this script installed itself.
keep_off() {
    [ -d /run/systemd/system ] || return 0
    as_root systemctl disable --quiet "$@" 2>/dev/null || true
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for python in ${PYTHON:-python3} python3.11 python3.12 python3.13 python3.14; do
        is_new_enough "$python" && return 0
    done
    return 1
}

ensure_python() {
    find_python && return 0
    apt_install python3 && find_python && return 0
    apt_install python3.11 && find_python && return 0
    fail "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3"
}

ensure_venv_module() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return 0
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    apt_install "$version-venv" && "$python" -c 'import ensurepip, venv' 2>/dev/null && return 0
    fail "$python can't make virtual environments: install the package $version-venv"
}

# A virtual environment knows its own path and its Python: one that was moved, or lost its Python, is made again.
ensure_venv() {
    made=$(sed -n 's/^command = .* -m venv //p' "$VENV/pyvenv.cfg" 2>/dev/null || true)
    case "$made" in
    "" | *"$VENV") is_new_enough "$VENV/bin/python" && return 0 ;;
    esac
    ensure_python
    ensure_venv_module
    say "Making the virtual environment .venv …"
    rm -rf "$VENV"
    quietly "$python" -m venv "$VENV" || fail "the virtual environment can't be made"
}

pip() {
    "$VENV/bin/python" -m pip --disable-pip-version-check --no-input "$@"
}

# Do the rest of the arguments unless the stamp says that it was done for this very input. The stamp is written last, so
# an interrupted installation is done again.
unless_stamped() {
    stamp="$VENV/$1.stamp" wanted=$2
    shift 2
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
    rm -f "$stamp"
    "$@"
    printf '%s\n' "$wanted" >"$stamp"
}

install_requirements() {
    say "Installing the Python packages of requirements/dev.txt (a minute or two) …"
    # Most of what is installed is never imported; what is, Python compiles then.
    quietly pip install -q --no-compile --require-hashes -r "$ROOT/requirements/dev.txt" ||
        fail "the Python packages can't be installed"
}

install_ours() {
    say "Installing FlickrHub's own packages …"
    (
        cd "$ROOT"
        set --
        for package in $PACKAGES; do set -- "$@" -e "./$package"; done
        quietly pip install -q --no-deps --no-build-isolation "$@"
    ) || fail "FlickrHub's own packages can't be installed"
}

checksum() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

setup_python() {
    ensure_venv
    unless_stamped requirements "$(checksum "$ROOT/requirements/dev.txt")" install_requirements
    cd "$ROOT"
    # shellcheck disable=SC2046 - the names hold no spaces
    unless_stamped packages "$(checksum $(printf '%s/pyproject.toml ' $PACKAGES))" install_ours
}

# Whether the caller's environment names a server of its own (RABBIT_URL or RABBIT_URL_FILE, …).
given() {
    eval "[ -n \"\${$1:-}\" ] || [ -n \"\${$1_FILE:-}\" ]"
}

ensure_rabbitmq() {
    given RABBIT_URL && return 0
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && return 0
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v rabbitmq-server >/dev/null && return 0
    apt_install rabbitmq-server || fail "RabbitMQ is needed: install the package rabbitmq-server, or set RABBIT_URL"
    keep_off rabbitmq-server.service epmd.socket epmd.service
}

ensure_redis() {
    given REDIS_URL && return 0
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v redis-server >/dev/null && return 0
    apt_install redis-server || fail "Redis is needed: install the package redis-server, or set REDIS_URL"
    keep_off redis-server.service
}

mongod_runs() {
    for mongod in "$(command -v mongod || true)" "$VENV"/lib/python3*/site-packages/fiftyone/db/bin/mongod; do
        [ -x "$mongod" ] && "$mongod" --version >/dev/null 2>&1 && return 0
    done
    return 1
}

ensure_mongod() {
    given MONGO_URL && return 0
    mongod_runs && return 0
    # The wheel's mongod lacks them on a bare system.
    apt_install libcurl4 libssl3 && mongod_runs && return 0
    fail "MongoDB is needed: put a mongod (6.0 or newer) that runs here on the PATH, or set MONGO_URL"
}

# nginx, and its module that can let an answer wait. Never run as the system's service.
nginx_is_there() {
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v nginx >/dev/null &&
        [ -e /usr/lib/nginx/modules/ngx_http_echo_module.so ]
}

ensure_nginx() {
    nginx_is_there && return 0
    ours=yes
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v nginx >/dev/null && ours=no
    apt_install nginx libnginx-mod-http-echo && nginx_is_there ||
        fail "nginx is needed: install the packages nginx and libnginx-mod-http-echo"
    [ "$ours" = no ] || keep_off nginx.service
}

# Whether the machine's own knows all that deploy/k8s uses: who renders it does.
kubectl_renders() {
    command -v kubectl >/dev/null && kubectl kustomize "$ROOT/deploy/k8s/base" >/dev/null 2>&1
}

ensure_kubectl() {
    kubectl_renders && return 0
    say "Installing kubectl (18 MB) …"
    quietly pip install -q --require-hashes -r "$ROOT/requirements/kubectl.txt" ||
        fail "kubectl 1.24 or newer is needed to render deploy/k8s: put one on the PATH"
}

# Out of the distribution's package, into .venv: its dozen dependencies are for its web pages, and it needn't be root's.
unpack_prometheus() (
    folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT && cd "$folder" &&
        apt-get -q download prometheus && dpkg -x prometheus_*.deb "$VENV/prometheus"
)

prometheus_is_there() {
    PATH="$PATH:$VENV/prometheus/usr/bin" command -v prometheus >/dev/null &&
        PATH="$PATH:$VENV/prometheus/usr/bin" command -v promtool >/dev/null
}

ensure_prometheus() {
    prometheus_is_there && return 0
    if command -v apt-get >/dev/null; then
        say "Unpacking the distribution's Prometheus (19 MB) …"
        quietly unpack_prometheus 2>/dev/null && prometheus_is_there && return 0
        # There may be no list of packages yet.
        can_install && quietly apt update && quietly unpack_prometheus && prometheus_is_there && return 0
    fi
    fail "Prometheus is needed: put prometheus and promtool on the PATH"
}

ensure_servers() {
    ensure_rabbitmq
    ensure_redis
    ensure_mongod
}

case "${1:-}" in
python)
    setup_python
    ;;
servers)
    setup_python
    ensure_servers
    ;;
bench)
    setup_python
    ensure_servers
    ensure_nginx
    ;;
kubectl)
    setup_python
    unless_stamped kubectl "$(command -v kubectl || true) $(checksum "$ROOT/requirements/kubectl.txt")" ensure_kubectl
    ;;
prometheus)
    setup_python
    ensure_prometheus
    ;;
*)
    fail "usage: bootstrap.sh python|servers|bench|kubectl|prometheus"
    ;;
esac
