"""What is written where the kernel looks for a command line."""

from __future__ import annotations

from panal.agents.runtime.title import compose


def test_a_short_line_keeps_its_words_apart() -> None:
    assert compose(["a", "b"], 10, 20) == b"a\0b\0" + b"\0" * 16


def test_a_long_line_runs_on_into_the_environment() -> None:
    text = compose(["kube-proxy", "--x"], 5, 20)
    assert text == b"kube-proxy --x" + b"\0" * 6
    assert text[4] != 0


def test_a_line_that_fits_nowhere_is_cut() -> None:
    assert compose(["x" * 100], 5, 20) == b"x" * 19 + b"\0"
