#!/bin/sh
# Brings what the image is made of beside Panal itself into the folder wheels, in the versions of constraints.txt: with
# them, `docker build --network none` needs nothing but a base image that has nft.
set -eu
cd "$(dirname "$0")/.."
stamp=wheels/.brought
if [ -e "$stamp" ] && [ ! constraints.txt -nt "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ]; then
    exit 0
fi
python=${PYTHON:-.venv/bin/python}
rm -rf wheels
mkdir wheels
"$python" -m pip wheel -q --disable-pip-version-check -c constraints.txt -w wheels . setuptools
rm -f wheels/panal-*.whl
touch "$stamp"
