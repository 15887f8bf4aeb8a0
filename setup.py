"""Adds the list of sub-packages to pyproject.toml: a package left out by hand would be missing from the wheel alone."""

from setuptools import find_packages, setup

PARTS = {"panal": "panal", "panal.agents": "agents", "panal.controlplane": "controlplane", "panal.proxy": "proxy"}
SUBPACKAGES = [f"{package}.{sub}" for package, folder in PARTS.items() for sub in find_packages(folder)]
setup(packages=[*PARTS, *SUBPACKAGES])
