"""Looks at a healthy cluster, at rest and while devenv changes it: doctor must name no fault."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from devenv.base.errors import DevenvError
from tests.cluster.lab import Lab

# The image that is reloaded, and two rebuilt ones that take turns.
_IMAGE = "devenv.local/vllm-mock:reference"
_REBUILT = ("devenv-bench/vllm-mock:look-1", "devenv-bench/vllm-mock:look-2")
# Seconds until kind has made the node.
_NODE_WITHIN = 120


def run(lab: Lab, count: int) -> int:
    """Look `count` times in each phase; return 1 if doctor named a fault.

    What is in progress is none. Prints each fault, and a line for each phase.
    """
    faults = _looked(lab, "at rest", count)
    with _repeated("up", lambda: _made_anew(lab)):
        faults += _looked(lab, "while the cluster is made", count)
    with _repeated("reload-image", _reload(lab)):
        faults += _looked(lab, "while an image is reloaded", count)
    return 1 if faults else 0


def _looked(lab: Lab, phase: str, count: int) -> int:
    """Return in how many looks doctor named a fault."""
    faults = 0
    for _ in range(count):
        if named := _faults(lab):
            faults += 1
            print(f"  {phase}: {named}", flush=True)
    print(f"{phase}: {count} looks, {faults} with a fault", flush=True)
    return faults


def _faults(lab: Lab) -> list[str]:
    lab.eventually("the node", lambda: "" if _has_node(lab) else "it", _NODE_WITHIN)
    diagnosis = lab.doctor()
    if not _has_node(lab):
        # The look came after `down`.
        return []
    return list(map(_words_of, diagnosis["causes"]))


def _has_node(lab: Lab) -> bool:
    return bool(lab.docker("ps", "--quiet", "--filter", f"name={lab.node}"))


def _words_of(cause: dict[str, Any]) -> str:
    texts = "; ".join(f"{piece['source']}: {piece['text']}" for piece in cause["evidence"])
    return f"{cause['code']} {cause['subject']}: {cause['says']} ({texts})"


@contextmanager
def _repeated(what: str, command: Callable[[], object]) -> Iterator[None]:
    """Run a command again and again in the background. Raises DevenvError if it failed."""
    is_over = threading.Event()
    errors: list[Exception] = []

    def repeat() -> None:
        while not (is_over.is_set() or errors):
            try:
                command()
            except (AssertionError, DevenvError, ValueError, LookupError) as error:
                errors.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if errors:
        raise DevenvError(f"`devenv {what}` failed while doctor looked.", str(errors[0]))


def _made_anew(lab: Lab) -> None:
    lab.devenv("down", "--yes")
    lab.up()


def _reload(lab: Lab) -> Callable[[], object]:
    """Return what reloads the model's image with another rebuilt one each time."""
    base = lab.docker("images", "--quiet", "devenv.local/vllm-mock").split()[0]
    for name in _REBUILT:
        folder = lab.folder / name.rpartition(":")[2]
        folder.mkdir()
        (folder / "Dockerfile").write_text(
            f"FROM {base}\nLABEL devenv.bench=campaign\nLABEL n={name}\n"
        )
        lab.build(name, folder)
    names = itertools.cycle(_REBUILT)
    return lambda: lab.devenv("reload-image", next(names), "--as", _IMAGE)
