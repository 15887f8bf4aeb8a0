"""Whether an official image was ever published under a tag, as far as the tag itself tells. Pure.

A host image stands for every version of its program, but not for a slip of the pen: courses deploy `nginx:1.161` to
show what happens then. What may be a version or a variant is believed.
"""

from __future__ import annotations

import re

from .reference import Reference

_WORD = re.compile(r"[A-Za-z]+")
_VERSION = re.compile(r"v?\d+\.(\d+)")
_OFFICIAL = "library/"
_MOST_MINOR = {"nginx": 60}
"""The second number of a version at most: no image has had a hundred of them beside one first number."""
_VARIANTS = frozenset(
    "latest stable mainline oldstable oldoldstable testing unstable experimental sid edge rolling devel lts current "
    "alpine slim perl otel fat glibc musl uclibc backports scm "
    "buster bullseye bookworm trixie forky stretch jessie wheezy "
    "trusty xenial bionic focal groovy hirsute impish jammy kinetic lunar mantic noble oracular plucky questing "
    "fpm apache cli zts cgi php beta alpha rc b a dev snapshot nightly innovation oracle oraclelinux ubi "
    "argon boron carbon dubnium erbium fermium gallium hydrogen iron jod krypton "
    "builder nanoserver windowsservercore ltsc v".split()
)


def published(reference: Reference) -> bool:
    """False for what no official image is called: words that name no variant, versions that nobody has come to."""
    if reference.registry != "docker.io" or not reference.path.startswith(_OFFICIAL) or reference.digest:
        return True
    version = _VERSION.match(reference.tag)
    if version is not None:
        return int(version[1]) <= _MOST_MINOR.get(reference.familiar, 99)
    if any(character.isdigit() for character in reference.tag):
        return True
    return all(word.lower() in _VARIANTS for word in _WORD.findall(reference.tag))
