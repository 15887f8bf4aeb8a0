"""The READMEs as walks: what is a step, and that both languages take the same ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from panal.command.lesson.readme import Lesson, Step, index, parse
from panal.command.lesson.runner import only_reads

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
LESSONS = index((EXAMPLES / "README.md").read_text())


def test_a_readme_is_texts_and_steps() -> None:
    told = parse(
        "# Title\n<!-- any: a b -->\n<!-- swapped: c d -->\n<!-- needs: netns -->\n<!-- a remark -->\nText.\n\n"
        "    $ one \\\n        -o x\n    out\n\n    more\n    $ two   # later\n\nEnd.\n\n    no step\n\n"
        "```sh\n$ not run\n```\n\n```console\n$ three\nsaid\n```\n"
    )
    assert told.title == "Title"
    assert sorted(told.any_of) == ["a", "b"]
    assert told.swapped == ("c", "d")
    assert told.needs == {"netns"}
    assert told.steps == (
        Step("one \\\n    -o x", ("out", "", "more")),
        Step("two   # later"),
        Step("three", ("said",)),
    )
    assert [step.plain for step in told.steps] == ["one \\\n    -o x", "two", "three"]
    assert told.parts[0] == "Text."
    assert "$ not run" in str(told.parts[3])


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get pods -A",
        "POD=$(kubectl get pods -o name | head -1)",
        "kubectl exec -n x db-1 -- nslookup db-0",
        "kubectl rollout status deployment/web",
        "panal rules nodoa --nft | grep x",
        "panal shell menchupc -- curl -s http://a/",
    ],
)
def test_commands_that_only_read_may_be_repeated(command: str) -> None:
    assert only_reads(command)


@pytest.mark.parametrize(
    "command",
    [
        "kubectl delete pod x",
        "kubectl exec stuck -- python /app/app.py stick",
        "kubectl rollout undo deployment/web",
        "panal shell news -- python3 server.py &",
        "kubectl scale deployment web --replicas=2",
    ],
)
def test_commands_that_change_something_run_once(command: str) -> None:
    assert not only_reads(command)


def test_the_index_names_every_lesson_there_is() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/README.md")}
    assert set(LESSONS) == folders - {"miempresa"}


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_steps_with_outputs(name: str) -> None:
    told = parse((EXAMPLES / name / "README.md").read_text())
    assert any(step.expected for step in told.steps)
    assert told.steps[0].command.startswith("panal up")


@pytest.mark.parametrize("name", LESSONS)
def test_both_languages_take_the_same_steps(name: str) -> None:
    english = parse((EXAMPLES / name / "README.md").read_text())
    spanish = parse((EXAMPLES / name / "README.es.md").read_text())
    assert spanish.steps == english.steps
    assert (spanish.any_of, spanish.swapped, spanish.needs) == (english.any_of, english.swapped, english.needs)
    assert spanish.title != english.title
    assert len(spanish.parts) == len(english.parts)


def test_the_index_is_in_the_same_order_in_both_languages() -> None:
    spanish = index((EXAMPLES / "README.es.md").read_text())
    assert list(spanish) == list(LESSONS)
    assert all(spanish[name] != LESSONS[name] for name in LESSONS)


def test_the_first_readme_shows_the_same_in_both_languages() -> None:
    english, spanish = (parse((EXAMPLES.parent / name).read_text()) for name in ("README.md", "README.es.md"))
    assert spanish.steps == english.steps
    assert _commands(english) == _commands(spanish) != []


def _commands(told: Lesson) -> list[str]:
    """The first column of the tables."""
    return re.findall(r"^\| (`panal .*?`) \|", "\n".join(str(part) for part in told.parts), re.M)
