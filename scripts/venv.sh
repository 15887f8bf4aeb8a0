#!/bin/sh
# Makes .venv with Panal and what its tests need, from any Python 3.11 or newer; nothing outside this folder changes.
# The system's own Python is preferred, because other users can read it too. PYTHON=... chooses another.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.installed
if [ -e "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ] && [ ! setup.py -nt "$stamp" ]; then
    exit 0
fi
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=
for candidate in ${PYTHON:-} /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
    recent "$candidate" || continue
    python=${python:-$candidate}
    [ -x .venv/bin/pip ] && break
    rm -rf .venv
    "$candidate" -m venv .venv >.venv.log 2>&1 && break
done
if [ -z "$python" ]; then
    echo "Panal needs Python 3.11 or newer, and found none. Install it (Debian: apt-get install python3), or name one: make PYTHON=/path/to/python3 ..." >&2
    exit 1
fi
if [ ! -x .venv/bin/pip ]; then
    # Debian keeps ensurepip in the package python3-venv: fetch pip's own wheel instead, without installing it.
    rm -rf .venv .pip-wheel
    "$python" -m venv --without-pip .venv
    mkdir .pip-wheel
    (cd .pip-wheel && apt-get -qq download python3-pip-whl && dpkg-deb -x ./*.deb .) >>.venv.log 2>&1 || {
        echo "This Python cannot make virtual environments with pip. Install python3-venv, or name another: make PYTHON=/path/to/python3 ..." >&2
        rm -rf .venv .pip-wheel
        exit 1
    }
    PYTHONPATH=$(echo .pip-wheel/usr/share/python-wheels/pip-*.whl) .venv/bin/python -m pip install -q pip >>.venv.log 2>&1
    rm -rf .pip-wheel
fi
rm -f .venv.log
.venv/bin/pip install -q --disable-pip-version-check -e '.[test]'
PYTHONDONTWRITEBYTECODE= .venv/bin/python -P -m panal.agents.node.compile # so that the first cluster starts as fast as the next
touch "$stamp"
