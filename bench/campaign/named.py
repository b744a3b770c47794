"""Runs the named cases on a cluster: each is injected, named alone, healed, and followed by health."""

import contextlib
import itertools
import json
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.campaign import originals
from bench.campaign.case import PRINTED_FIX, RECOVER, TAKEN_BACK, Case
from bench.campaign.cases import CASES
from devenv.base.errors import DevenvError
from tests.cluster.lab import Lab

# Seconds until a fault must be named, and until a healed cluster must be healthy.
_NAMED_WITHIN, _HEALTHY_WITHIN = 180, 240
_PAUSE = 1.5
# What a case may raise: programs fail, and a broken cluster may answer nothing, or no JSON.
_TROUBLES = (AssertionError, DevenvError, LookupError, ValueError, subprocess.SubprocessError)
# Characters of an error that are noted.
_LONGEST = 800


def chosen(words: Sequence[str], layer: str | None) -> list[Case]:
    """Return the cases of a layer, or those whose names have one of the words; without both, all."""
    cases = [case for case in CASES if layer in {None, case.layer}]
    if not words:
        return cases
    return [case for case in cases if any(word in case.name for word in words)]


@dataclass(frozen=True)
class Run:
    """How one case ended. `problem`: where it failed, "" if it went as it should."""

    case: str
    layer: str
    seconds: int
    problem: str = ""


def run(
    lab: Lab, cases: Iterable[Case], results: Path | None = None, facts: Path | None = None
) -> int:
    """Run the cases that `results` does not have yet, and note them there; return 1 if one failed.

    `facts`: a folder for the facts by which doctor named each, as CASE.json. Prints a line for each,
    and how many went as they should.
    """
    runs = _read(results)
    names = {one.case for one in runs}
    objects = originals.read(lab)
    if facts:
        facts.mkdir(parents=True, exist_ok=True)
    for case in cases:
        if case.name in names:
            continue
        one = _run_case(lab, case, objects, facts)
        runs.append(one)
        _note(results, one)
        mark = "✗" if one.problem else "✓"
        print(f"{mark} {one.layer:14} {one.case:44} {one.seconds:5} s  {one.problem}", flush=True)
        if one.problem and not _is_restored(lab, objects):
            # A new cluster's objects are as the first one's were.
            lab.devenv("down", "--yes")
            lab.up()
    failures = sum(bool(one.problem) for one in runs)
    print(f"{len(runs) - failures} of {len(runs)} cases went as they should.")
    return 1 if failures else 0


def _run_case(lab: Lab, case: Case, objects: originals.Originals, facts: Path | None) -> Run:
    began = time.monotonic()
    problem = _problem_of(lab, case, objects, facts)
    return Run(case.name, case.layer, round(time.monotonic() - began), problem)


def _read(results: Path | None) -> list[Run]:
    if results is None or not results.exists():
        return []
    return [Run(**entry) for entry in map(json.loads, results.read_text().splitlines())]


def _note(results: Path | None, one: Run) -> None:
    if results:
        with results.open("a") as file:
            file.write(json.dumps(asdict(one)) + "\n")


def _problem_of(lab: Lab, case: Case, objects: originals.Originals, facts: Path | None) -> str:
    """Return where the case failed, "" if it went as it should.

    What is healed must be healthy before anything else is put back.
    """
    try:
        case.inject(lab)
        diagnosis = _until_named(lab, case)
        if facts:
            lab.devenv("doctor", "--save", str(facts / f"{case.name}.json"), check=False)
        _heal(lab, case, diagnosis)
        if case.heals != TAKEN_BACK:
            _until_healthy(lab)
        case.clean(lab)
        objects.put_back(lab)
        _until_healthy(lab)
    except _TROUBLES as error:
        with contextlib.suppress(*_TROUBLES):
            case.clean(lab)
        return _words_of(error)
    return ""


def _words_of(error: Exception) -> str:
    """Return an error in one line, with what a program said that failed."""
    said = getattr(error, "stderr", "") or ""
    return " ".join(f"{type(error).__name__} {error} {said}".split())[:_LONGEST]


def _until_healthy(lab: Lab) -> None:
    """Wait until doctor calls the cluster healthy twice running: a fault may come and go."""
    looks: list[str] = []

    def missing() -> str:
        looks.append(_lack_of_health(lab.doctor()))
        return next(filter(None, looks[-2:]), "" if len(looks) > 1 else "a second look")

    lab.eventually("health", missing, _HEALTHY_WITHIN, _PAUSE)


def _until_named(lab: Lab, case: Case) -> dict[str, Any]:
    """Return doctor's answer once it is the expected one twice running."""
    answers: list[dict[str, Any]] = []

    def missing() -> str:
        diagnosis = lab.doctor()
        if lack := _lack_of_answer(diagnosis, case):
            answers.clear()
            return lack
        answers.append(diagnosis)
        return "" if len(answers) > 1 else "the same answer again"

    lab.eventually("the diagnosis", missing, _NAMED_WITHIN, _PAUSE)
    return answers[-1]


def _lack_of_answer(diagnosis: dict[str, Any], case: Case) -> str:
    """Return what doctor's answer lacks of what the case expects, "" for nothing."""
    if not case.roots:
        return _lack_of_health(diagnosis)
    return lack_of_roots(diagnosis, case.roots) or lack_of_words(diagnosis, case.shows)


def lack_of_roots(diagnosis: dict[str, Any], roots: Sequence[tuple[str, str]]) -> str:
    """Return how doctor's roots differ from the expected ones, "" if they don't."""
    named_roots = [(cause["code"], cause["subject"]) for cause in diagnosis["causes"]]
    is_complete = len(named_roots) == len(roots) and all(
        any(code == named and word in subject for named, subject in named_roots)
        for code, word in roots
    )
    if is_complete and not diagnosis["in_progress"]:
        return ""
    progress = [finding["says"] for finding in diagnosis["in_progress"]]
    return f"{roots}; doctor named {named_roots}, in progress {progress}"


def lack_of_words(diagnosis: Mapping[str, Any], words: Iterable[str]) -> str:
    """Return the words that neither a root's sentence nor its evidence has, "" if all are there."""
    texts: list[str] = []
    for cause in diagnosis["causes"]:
        texts += [cause["says"], *(evidence["text"] for evidence in cause["evidence"])]
    missing_words = [word for word in words if not any(word in text for text in texts)]
    return f"{missing_words} in {texts}" if missing_words else ""


def _heal(lab: Lab, case: Case, diagnosis: dict[str, Any]) -> None:
    if case.heals == PRINTED_FIX:
        for cause in diagnosis["causes"]:
            _type_fix(lab, cause["fix"])
    elif case.heals == RECOVER:
        lab.json("recover", "--yes")


def _type_fix(lab: Lab, fix: Sequence[str]) -> None:
    """Type the first line of a fix; if it belongs to the first, also the one that ends a pause."""
    _type(lab, fix[0])
    for command in fix[1:2]:
        if " rollout restart " in command:
            _type(lab, command)


def _type(lab: Lab, command: str) -> None:
    """Run a printed command as a user would. Of a shell's signs, it may have pipes."""
    words = shlex.split(command)
    if words[0] == "devenv":
        lab.devenv(*words[1:], *(["--yes"] if words[1] == "recover" else []))
        return
    output = ""
    for program in pipeline(words):
        output = subprocess.run(
            program,
            env=lab.env,
            input=output,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout


def pipeline(words: Iterable[str]) -> list[list[str]]:
    """Return the programs of a pipeline, each with its arguments."""
    groups = itertools.groupby(words, lambda word: word == "|")
    return [list(group) for is_pipe, group in groups if not is_pipe]


def _lack_of_health(diagnosis: dict[str, Any]) -> str:
    if diagnosis["healthy"]:
        return ""
    return lack_of_roots(diagnosis, ()) or f"unknown: {diagnosis['unknown']}"


def _is_restored(lab: Lab, objects: originals.Originals) -> bool:
    """Put everything back that a failed case left; return whether the next one may begin."""
    try:
        objects.put_back(lab)
        lab.devenv("recover", "--yes", check=False)
        _until_healthy(lab)
    except _TROUBLES:
        return False
    return True
