#!/bin/sh
# Brings what the arguments name (nft nginx busybox mariadb wordpress ...) into .tools, or $TOOLS, without root and
# without installing anything, from Debian packages: apt-get downloads the packages that are missing into a folder of our own, and dpkg-deb unpacks
# them. Does nothing for programs that the machine has already. Leaves the reason in words when it cannot.
set -eu
cd "$(dirname "$0")/.."
tools=${TOOLS:-$PWD/.tools}
PATH=$PATH:/usr/sbin:/sbin
found() { # a file whose path, in which * may stand, is that of one
    for file in $1; do [ ! -e "$file" ] || return 0; done
    return 1
}
there() { # a program, or the path of a file, which this machine has or .tools has already
    case $1 in
        /*) found "$1" || found "$tools/root$1" ;;
        *) command -v "$1" >/dev/null 2>&1 || [ -x "$tools/bin/$1" ] ;;
    esac
}
packages=
programs=
for wanted in "$@"; do
    case $wanted in
        nft) package=nftables brings=nft sign=nft ;;
        apache2) package=apache2-bin brings=apache2 sign=apache2 ;;
        nginx) package=nginx-light brings=nginx sign=nginx ;;
        busybox) package=busybox-static brings=busybox sign=busybox ;;
        knotd) package=knot brings=knotd sign=knotd ;;
        mariadb)
            package="mariadb-server-core mariadb-client-core" sign=mariadbd
            brings="mariadbd mariadb mariadb-install-db mariadb-admin mariadb-dump" ;;
        wordpress)
            package="wordpress wordpress-theme-twentytwentythree php-cli php-mysql php-gd libapache2-mod-php apache2-bin"
            sign=/usr/share/wordpress/index.php brings="apache2 php" ;;
        redis-server | memcached | haproxy | curl) package=$wanted brings=$wanted sign=$wanted ;;
        node) package=nodejs brings=node sign=node ;;
        php-fpm) package="php-cli php-mysql php-fpm" brings=php sign="/usr/lib/systemd/system/php*-fpm.service" ;;
        postgres) package=postgresql brings= sign="/usr/lib/postgresql/*/bin/postgres" ;;
        dockerd) package="docker.io iptables" brings=dockerd sign=dockerd ;;
        docker-compose | debootstrap) package=$wanted brings=$wanted sign=$wanted ;;
        *) echo "tools.sh: no package is known for '$wanted'" >&2; exit 2 ;;
    esac
    programs="$programs $brings"
    there "$sign" || packages="$packages $package"
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
for program in "$tools"/root/usr/bin/php[0-9]*.[0-9]; do # what update-alternatives would do
    [ ! -x "$program" ] || ln -sfn "${program##*/}" "$tools/root/usr/bin/php"
done
libraries=$tools/root/usr/lib/$(uname -m)-linux-gnu
for program in $programs; do
    for folder in usr/sbin usr/bin; do
        file=$tools/root/$folder/$program
        [ -x "$file" ] && [ ! -e "$tools/bin/$program" ] || continue
        printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\nexec "%s" "$@"\n' \
            "$libraries" "$file" >"$tools/bin/$program"
        chmod 755 "$tools/bin/$program"
    done
done
rm -rf "$tools/apt/cache" "$tools/apt/lists"
