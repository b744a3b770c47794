"""Questions as they are answered on a terminal, key by key."""

import contextlib
import io
import os
import pty
import selectors
import subprocess
import sys

import pytest
import yaml
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from devenv.base.errors import DeclinedError, DevenvError, Exit
from devenv.ui import console, prompts


@pytest.fixture
def type_keys(monkeypatch):
    """Have these keys typed into the next question; return what the terminal shows."""
    monkeypatch.setattr(console, "interactive", lambda: True)
    monkeypatch.setattr(prompts, "_on_stderr", contextlib.nullcontext)
    shown = io.StringIO()

    def ask(keys: str, question):
        output = Vt100_Output(shown, lambda: Size(rows=24, columns=80))
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=output):
            pipe.send_text(keys)
            pipe.close()  # what asks for more gets an end
            return question()

    ask.shown = shown
    return ask


@pytest.mark.parametrize(
    ("keys", "is_yes"),
    [
        ("y\r", True), ("yes\r", True), ("YES\r", True), (" Y \r", True),
        ("\r", False), ("n\r", False), ("maybe\r", False), ("yn\r", False), ("yeah\r", False), ("ja\r", False),
    ],
)  # fmt: skip
def test_only_y_or_yes_followed_by_enter_is_yes(type_keys, keys, is_yes):
    assert type_keys(keys, lambda: prompts.confirmed("Remove?")) is is_yes


@pytest.mark.parametrize("keys", ["y", "yes", "n", ""])
def test_without_enter_nothing_is_decided(type_keys, keys):
    with pytest.raises(KeyboardInterrupt):
        type_keys(keys, lambda: prompts.confirmed("Remove?"))


@pytest.mark.parametrize(("default", "capital"), [(True, "[Y/n]"), (False, "[y/N]")])
def test_enter_alone_is_the_default_which_is_in_capitals(type_keys, default, capital):
    assert type_keys("\r", lambda: prompts.confirmed("Go on?", default=default)) is default
    assert capital in type_keys.shown.getvalue()


@pytest.mark.parametrize("keys", ["\r", "n\r", "maybe\r"])
def test_what_asks_before_it_deletes_stops_at_anything_but_yes(type_keys, keys):
    with pytest.raises(DeclinedError) as stopped:
        type_keys(
            keys,
            lambda: prompts.confirm_or_stop("Remove?", "Nothing was removed.", assume_yes=False),
        )
    assert stopped.value.exit_code is Exit.FAILED


@pytest.mark.parametrize("keys", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_interrupt(type_keys, keys):
    for question in (
        lambda: prompts.confirmed("Remove?", default=True),
        lambda: prompts.install(assume_yes=False)(["git"]),
        lambda: prompts.text("Port?", "", prompts.is_port),
    ):
        with pytest.raises(KeyboardInterrupt):
            type_keys(keys, question)


@pytest.mark.parametrize("keys", ["y\r", "yes\r", "\r", "other\r", "Mine\r"])
def test_a_name_must_be_typed_as_it_is(type_keys, keys):
    with pytest.raises(DeclinedError):
        type_keys(
            keys,
            lambda: prompts.typed_or_stop(
                "Name?", "mine", "Nothing was removed.", assume_yes=False
            ),
        )
    type_keys(
        "mine\r",
        lambda: prompts.typed_or_stop("Name?", "mine", "Nothing was removed.", assume_yes=False),
    )


def test_where_nobody_can_be_asked_the_answer_is_a_wrong_call_or_no(monkeypatch):
    monkeypatch.setattr(console, "interactive", lambda: False)
    assert not prompts.confirmed("Go on?", default=True)
    for stop in (
        lambda: prompts.confirm_or_stop("Remove?", "", assume_yes=False),
        lambda: prompts.typed_or_stop("Name?", "mine", "", assume_yes=False),
    ):
        with pytest.raises(DevenvError) as refused:
            stop()
        assert refused.value.exit_code is Exit.USAGE


def test_questions_are_no_part_of_the_result(tmp_path):
    """With standard output in a file they are asked all the same, and the file has the result alone."""
    outside, inside = pty.openpty()
    argv = [sys.executable, "-m", "devenv", "profile", "init", "-"]
    env = {**os.environ, "TERM": "xterm"}
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            argv, stdin=inside, stdout=out, stderr=inside, env=env, start_new_session=True
        )
    os.close(inside)
    assert answer(outside, ["Which profile", "port on this machine"]) == []
    assert process.wait(60) == 0
    os.close(outside)
    assert yaml.safe_load((tmp_path / "out").read_text())["extends"] == "offline"


def answer(terminal: int, questions: list[str]) -> list[str]:
    """Press Enter at each question in its turn; return those that were not asked."""
    left, shown = list(questions), ""
    with selectors.DefaultSelector() as ready:
        ready.register(terminal, selectors.EVENT_READ)
        while left and ready.select(60):
            shown += os.read(terminal, 65536).decode(errors="replace")
            if left[0] in shown:
                os.write(terminal, b"\r")
                shown = shown.partition(left.pop(0))[2]
    return left
