#!/bin/sh
# Brings the Debian programs named as arguments (nft nginx busybox ...) into .tools/bin, or $TOOLS/bin, without root and without
# installing anything: apt-get downloads the packages that are missing into a folder of our own, and dpkg-deb unpacks
# them. Does nothing for programs that the machine has already. Leaves the reason in words when it cannot.
set -eu
cd "$(dirname "$0")/.."
tools=${TOOLS:-$PWD/.tools}
PATH=$PATH:/usr/sbin:/sbin
packages=
for program in "$@"; do
    case $program in
        nft) package=nftables ;;
        nginx) package=nginx-light ;;
        busybox) package=busybox-static ;;
        dockerd) package="docker.io iptables" ;;
        docker-compose | debootstrap) package=$program ;;
        *) echo "tools.sh: no package is known for '$program'" >&2; exit 2 ;;
    esac
    command -v "$program" >/dev/null 2>&1 || [ -x "$tools/bin/$program" ] || packages="$packages $package"
done
[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "tools.sh: this machine has no apt-get; install$packages by its own means" >&2
    exit 0
fi
mkdir -p "$tools/apt/lists/partial" "$tools/apt/cache/archives/partial" "$tools/root" "$tools/bin"
apt() {
    apt-get -qq -o Dir::State="$tools/apt" -o Dir::State::lists="$tools/apt/lists" \
        -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$tools/apt/cache" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User= "$@" </dev/null
}
if ! { apt update && apt -y --no-install-recommends --download-only install $packages; } >"$tools/apt/log" 2>&1; then
    echo "tools.sh: could not download$packages; $tools/apt/log says why" >&2
    exit 0
fi
for archive in "$tools"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$archive" "$tools/root"
done
for folder in bin sbin lib; do # what a package still puts beside /usr, as the system itself has it
    if [ -d "$tools/root/$folder" ]; then
        mkdir -p "$tools/root/usr/$folder"
        cp -a "$tools/root/$folder/." "$tools/root/usr/$folder/"
        rm -rf "${tools:?}/root/$folder"
    fi
done
libraries=$tools/root/usr/lib/$(uname -m)-linux-gnu
for program in "$@"; do
    for folder in usr/sbin usr/bin; do
        file=$tools/root/$folder/$program
        [ -x "$file" ] && [ ! -e "$tools/bin/$program" ] || continue
        printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\nexec "%s" "$@"\n' \
            "$libraries" "$file" >"$tools/bin/$program"
        chmod 755 "$tools/bin/$program"
    done
done
rm -rf "$tools/apt/cache" "$tools/apt/lists"
