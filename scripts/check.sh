#!/bin/sh
# Type checks and import contracts. Both tools want the packages laid out as they are imported (panal.agents below panal),
# so they read .check/, whose files are links to ours: see [tool.setuptools.package-dir] in pyproject.toml.
set -eu
cd "$(dirname "$0")/.."
rm -rf .check
mkdir -p .check
cp -rs "$PWD/panal" .check/panal
for part in agents controlplane proxy; do
    cp -rs "$PWD/$part" ".check/panal/$part"
done
find .check -name __pycache__ -type d -prune -exec rm -rf {} +
MYPYPATH=$PWD/.check .venv/bin/mypy -p panal
cd .check
../.venv/bin/lint-imports --no-cache --config ../pyproject.toml
