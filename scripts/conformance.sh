#!/bin/sh
# Builds Kubernetes' own end-to-end suite into .tools/conformance, or $TOOLS/conformance: e2e.test, ginkgo and kubectl,
# from Debian's packages of Kubernetes 1.20, the newest whose source is published as a whole, with the Go 1.19 of the
# same release. Nothing is installed, no root is needed. The first time takes ten minutes, and some 3 GB meanwhile.
set -eu
cd "$(dirname "$0")/.."
tools=${TOOLS:-$PWD/.tools}
place=$tools/conformance
[ -x "$place/e2e.test" ] && [ -x "$place/ginkgo" ] && exit 0
here=$place/go/src/k8s.io/kubernetes
apt() { # knows bookworm's packages only, not the machine's own
    program=$1
    shift
    "$program" -qq -o Dir::Etc::sourcelist="$place/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State="$place/state" -o Dir::State::status=/dev/null -o Dir::Cache="$place/cache" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User= "$@" </dev/null
}
mkdir -p "$place/state/lists/partial" "$place/cache/archives/partial" "$place/debs" "$place/go/src/k8s.io"
for kind in deb deb-src; do
    echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main"
done >"$place/sources.list"
apt apt-get update
(cd "$place/debs" && apt apt-get download golang-1.19-go golang-1.19-src kubernetes-client &&
    apt apt-get source --download-only kubernetes)
for archive in "$place"/debs/*.deb; do
    dpkg-deb -x "$archive" "$place/compiler"
done
root=$place/compiler/root # Go wants all of it in one folder, which the packages link together in /usr
rm -rf "$root" "$here"
cp -a "$place/compiler/usr/lib/go-1.19" "$root"
for part in api misc src test pkg/include; do
    rm -rf "${root:?}/$part"
    cp -a "$place/compiler/usr/share/go-1.19/$part" "$root/$part"
done
mkdir -p "$here"
tar -xzf "$place"/debs/kubernetes_*.orig.tar.gz -C "$here" --strip-components=1
# Kubernetes' build makes a file that holds the manifests; this one reads them where they are.
cat >"$here/test/e2e/generated/bindata.go" <<GO
package generated

import (
	"io/ioutil"
	"path/filepath"
)

func Asset(name string) ([]byte, error) { return ioutil.ReadFile(filepath.Join("$here", name)) }

func AssetNames() []string { return nil }
GO
export GOROOT="$root" GOPATH="$place/go" GOCACHE="$place/cache/go" GO111MODULE=off GOFLAGS= CGO_ENABLED=0 GOPROXY=off
version=k8s.io/component-base/version.git
cp "$place/compiler/usr/bin/kubectl" "$place/kubectl"
nice "$root/bin/go" build -o "$place/ginkgo" k8s.io/kubernetes/vendor/github.com/onsi/ginkgo/ginkgo
nice "$root/bin/go" test -c -o "$place/e2e.test" k8s.io/kubernetes/test/e2e \
    -ldflags "-s -w -X ${version}Version=v1.20.2 -X ${version}Major=1 -X ${version}Minor=20"
rm -rf "$place/cache" "$place/debs" "$place/state" "$place/compiler"
