"""What pyproject.toml can't say: the list of sub-packages (one left out by hand would be missing from the wheel alone),
and that a wheel brings the lessons, for who has only that has no checkout to read them in."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

PARTS = {"panal": "panal", "panal.agents": "agents", "panal.controlplane": "controlplane", "panal.proxy": "proxy"}
SUBPACKAGES = [f"{package}.{sub}" for package, folder in PARTS.items() for sub in find_packages(folder)]
EXAMPLES = Path(__file__).resolve().parent / "examples"


class WithLessons(build_py):
    """Copies examples/ to panal/examples, where `panal lesson` finds it; an editable install has the checkout's own."""

    def run(self):
        super().run()
        if not self.editable_mode and EXAMPLES.is_dir():
            target = Path(self.build_lib) / "panal" / "examples"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(EXAMPLES, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))


setup(packages=[*PARTS, *SUBPACKAGES], cmdclass={"build_py": WithLessons})
