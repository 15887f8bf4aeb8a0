"""Follow a document word by word: run the commands of its `console` blocks and hold what they print against it.

    follow.py DOCUMENT [--fill]

As in a lesson (panal/command/lesson), but `panal up` is run like any other command, in a home of the caller's own. A
block that needs another machine stands under `<!-- elsewhere: FILE -->`, which names the test or recipe that runs it.
Exit code 1 when something differs.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from pathlib import Path

from panal.command.lesson import compare, readme
from panal.command.lesson.runner import Ran, Shell, settle

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = re.compile(r"<!-- elsewhere: (\S+) -->\n+```console\n(.*?)```\n", re.S)
PATIENCE_SECONDS, LONG_SECONDS = 60.0, 240.0


def elsewhere(text: str) -> list[str]:
    """The files that run the blocks which can't be run here."""
    return [found.group(1) for found in ELSEWHERE.finditer(text)]


def steps(text: str) -> readme.Lesson:
    """What can be run here."""
    return readme.parse(re.sub(r"\A\s*(?!# )", "# \n", ELSEWHERE.sub("", text)))


def follow(text: str) -> list[str]:
    """What differs, a paragraph each."""
    told = steps(text)
    varying = compare.Varying.of(told.any_of, told.swapped)
    wrong = []
    with Shell(ROOT, dict(os.environ)) as shell:
        for step in told.steps:
            seconds = LONG_SECONDS if step.remark else PATIENCE_SECONDS
            ran = settle(shell, step.plain, functools.partial(_well, step, varying), seconds)
            print(f"$ {step.plain}\n{ran.output}", flush=True)
            after = _well(step, varying, ran)
            if after is None:
                missing = compare.unlike(step.expected, ran.output, varying) or list(step.expected)
                wrong.append(f"$ {step.plain}\n  exit code {ran.code}\n  - " + "\n  - ".join(missing))
            varying = after or varying
    return wrong


def _well(step: readme.Step, varying: compare.Varying, ran: Ran) -> compare.Varying | None:
    """What may vary from now on; None when it is not as shown."""
    if step.expected:
        return compare.compare(step.expected, ran.output, varying)
    return varying if ran.code == 0 else None


def fill(path: Path) -> None:
    """For who writes a document: run it, and put what is printed in the place of each `???`."""
    text = path.read_text()
    told = steps(text)
    with Shell(ROOT, dict(os.environ)) as shell:
        for step in told.steps:
            ran = settle(
                shell, step.plain, lambda ran: ran.code == 0, LONG_SECONDS if step.remark else PATIENCE_SECONDS
            )
            print(f"$ {step.plain}  -> {ran.code}\n{ran.output}", flush=True)
            if step.expected == ("???",):
                shown = "\n".join(line.rstrip() for line in ran.output.rstrip("\n").splitlines())
                text = text.replace(f"$ {step.command}\n???\n", f"$ {step.command}\n{shown}\n", 1)
    path.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("document", type=Path)
    parser.add_argument("--fill", action="store_true")
    options = parser.parse_args()
    if options.fill:
        fill(options.document)
        return 0
    wrong = follow(options.document.read_text())
    if wrong:
        print("\n\nOtherwise than the document says:\n\n" + "\n\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
