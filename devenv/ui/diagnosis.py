"""`doctor`: a diagnosis, as text that fits a terminal of 80 by 24, or as JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from devenv.base.json_types import JsonObject
from devenv.diagnosis.model import (
    Cause,
    Diagnosis,
    Evidence,
    Finding,
    Place,
    PlaceState,
    Verdict,
)
from devenv.ui import console
from devenv.ui.marks import CHECK, CROSS, NOTE, QUESTION, UNDER_WAY, bold, dim
from devenv.ui.render import Report, shapes

# Characters of a root's sentence, and of any other line.
_LONG, _LINE = 400, 160
# How much is shown of a root without --all: pieces of evidence, consequences, moments.
_EVIDENCE, _FOLLOWS, _TIMES = 3, 6, 5
# Harmless to the cluster, but worth knowing: shown without --all, too.
_NOTED = {"DE107"}
# A place on a request's way, by what is known of it.
_PLACE_FORMS = {
    PlaceState.PROVEN: f"{CHECK} {{}}",
    PlaceState.BROKEN: f"{CROSS} [red]{{}}[/red]",
    PlaceState.UNPROVEN: "[dim]? {}[/dim]",
}
# What stands before evidence, an effect or a moment, and before a command to copy.
_ITEM, _COMMAND = "    ", "       "
# Columns by which a terminal indents the rest of a line that it wraps.
_HANGING = 2
# Seconds up to which an age is given in seconds, and in minutes.
_SECONDS_UNTIL, _MINUTES_UNTIL = 120, 7200


def diagnosis(diagnosis: Diagnosis, *, everything: bool) -> Report:
    """Report what is wrong, root by root."""
    return Report(
        "doctor",
        lambda: diagnosis_shape(diagnosis),
        lambda out: _print_diagnosis(out, diagnosis, everything=everything),
    )


def _print_diagnosis(out: Console, diagnosis: Diagnosis, *, everything: bool) -> None:
    """Print the lines.

    A terminal cuts effects and moments at its width, unless everything is to be shown. It wraps
    roots and evidence, but no command to copy.
    """
    is_in_list = False
    for line in lines(diagnosis, everything=everything):
        if not line.startswith(_ITEM):
            # Effects and moments are below a line that names them.
            is_in_list = line.startswith(" ")
        if not out.is_terminal or line.startswith(_COMMAND):
            out.print(line, soft_wrap=True)
        elif is_in_list and not everything:
            out.print(line, no_wrap=True, overflow="ellipsis")
        else:
            _print_wrapped(out, line)


def _print_wrapped(out: Console, line: str) -> None:
    """Print markup at the terminal's width; what does not fit on the first line is indented."""
    text = Text.from_markup(line)
    if text.cell_len <= out.width:
        out.print(text)
        return
    indent = len(text.plain) - len(text.plain.lstrip())
    pieces = text[indent:].wrap(out, out.width - indent - _HANGING)
    for number, piece in enumerate(pieces):
        piece.rstrip()
        padding = indent if number == 0 else indent + _HANGING
        out.print(Text(" " * padding).append_text(piece))


def lines(diagnosis: Diagnosis, *, everything: bool = False) -> list[str]:
    """Return the lines of a diagnosis, in rich's markup."""
    shown = [_headline(diagnosis)]
    if not diagnosis.healthy:
        shown += ["", *path_lines(diagnosis)]
    for cause in joined_causes(diagnosis):
        shown += ["", *_cause_lines(cause, diagnosis, everything=everything)]
    shown += _unknown_lines(diagnosis)
    shown += _harmless_lines(diagnosis) if everything else _note_lines(diagnosis)
    if diagnosis.ignored:
        codes = ", ".join(sorted(diagnosis.ignored))
        shown += ["", dim(f"Ignored: {codes}")]
    return shown


def _unknown_lines(diagnosis: Diagnosis) -> list[str]:
    """Return what could not be read, each with the reason."""
    if not diagnosis.unknown:
        return []
    shown = ["", f"{QUESTION} Could not be read:"]
    for what, reason in diagnosis.unknown:
        sentence = f"{one_line(what)}: {one_line(reason, _LONG)}"
        shown.append(f"    {escape(sentence)}")
    return shown


def _note_lines(diagnosis: Diagnosis) -> list[str]:
    """Return the harmless findings that are shown without --all, too."""
    notes = [finding for finding in diagnosis.harmless if finding.code in _NOTED]
    if not notes:
        return []
    shown = [""]
    for note in notes:
        sentence = escape(note.says)
        shown.append(f"{NOTE} {note.code} {sentence}")
    return shown


def _harmless_lines(diagnosis: Diagnosis) -> list[str]:
    """Return all harmless findings, for --all."""
    if not diagnosis.harmless:
        return []
    shown = [f"  {finding.code} {escape(finding.says)}" for finding in diagnosis.harmless]
    return ["", "Harmless, though it looks alarming:", *shown]


def headline_text(diagnosis: Diagnosis) -> str:
    """Return the verdict without markup and sign."""
    return _without_sign(_headline(diagnosis))


def problem_text(diagnosis: Diagnosis) -> str:
    """Return the verdict without what it is based on."""
    if diagnosis.healthy:
        return f"The cluster {diagnosis.cluster} is healthy."
    return _without_sign(_problem(diagnosis, escape(diagnosis.cluster)))


def proven_text(diagnosis: Diagnosis) -> str:
    """Return what the verdict is based on, as a sentence."""
    proven = _proven(diagnosis)
    return f"{proven[0].upper()}{proven[1:]}."


def _without_sign(marked_line: str) -> str:
    _, _, sentence = Text.from_markup(marked_line).plain.partition(" ")
    return sentence


def _headline(diagnosis: Diagnosis) -> str:
    """Return the verdict, and what it is based on."""
    cluster = escape(diagnosis.cluster)
    if diagnosis.healthy:
        return f"{CHECK} The cluster {cluster} is healthy: {_proven(diagnosis)}."
    return f"{_problem(diagnosis, cluster)} {proven_text(diagnosis)}"


def _problem(diagnosis: Diagnosis, cluster: str) -> str:
    if diagnosis.causes:
        count = _count(_join_causes(diagnosis.causes))
        return f"{CROSS} The cluster {cluster} is unhealthy: {count}."
    if diagnosis.progress:
        return f"{UNDER_WAY} The cluster {cluster} is not ready yet."
    return f"{QUESTION} Whether the cluster {cluster} is healthy could not be determined."


def _proven(diagnosis: Diagnosis) -> str:
    """Say how far the live requests prove the verdict."""
    if diagnosis.context:
        return "as far as its API server tells: no live request was sent, and Envoy was not asked"
    if not diagnosis.requests:
        return "no live request was sent"
    results = [is_proven for _, is_proven in diagnosis.requests]
    return f"{results.count(True)} of {len(results)} live requests proved their routes"


def _count(causes: Sequence[Cause]) -> str:
    if len(causes) == 1:
        return "one root cause"
    return f"{len(causes)} independent root causes"


def path_lines(diagnosis: Diagnosis) -> list[str]:
    """Draw the way of a request: each place with a sign of its state, and what `?` means."""
    states = [diagnosis.state_of(place) for place in Place]
    places = [_PLACE_FORMS[state].format(place) for place, state in zip(Place, states, strict=True)]
    lines = [" → ".join(places)]
    if PlaceState.UNPROVEN in states:
        lines.append(dim("? no live request came through it"))
    return lines


def _cause_lines(cause: Cause, diagnosis: Diagnosis, *, everything: bool) -> list[str]:
    """Return the root first, then why devenv thinks so, what follows, when, and the fix."""
    return [
        _root_line(cause.root),
        f"    {dim(_verdict_text(cause, diagnosis))}",
        *_evidence_lines(cause.root, everything=everything),
        *_consequence_lines(cause, diagnosis, everything=everything),
        *_time_lines(cause, everything=everything),
        *_fix_lines(cause.root),
    ]


def _root_line(root: Finding) -> str:
    """Return the root, marked as broken or as still under way."""
    mark = CROSS
    if root.verdict is Verdict.PROGRESS:
        mark = UNDER_WAY
    sentence = one_line(root.says, _LONG)
    return f"{mark} {bold(root.code)} {escape(sentence)}"


def _verdict_text(cause: Cause, diagnosis: Diagnosis) -> str:
    """Say how sure the verdict is, and since when it holds; name a verdict other than "failed"."""
    root = cause.root
    words = [root.confidence.value, since(cause.since, diagnosis.taken)]
    if root.verdict is not Verdict.FAILED:
        words.insert(0, root.verdict.value)
    return ", ".join(filter(None, words))


def _evidence_lines(root: Finding, *, everything: bool) -> list[str]:
    """Return the evidence for a root; without --all, only its first pieces."""
    pieces = root.evidence if everything else root.evidence[:_EVIDENCE]
    shown = []
    for piece in pieces:
        text = f"{one_line(piece.source)}: {one_line(piece.text)}"
        shown.append(f"    {escape(text)}")
    return shown


def _fix_lines(root: Finding) -> list[str]:
    """Return each command whole, on a line of its own, so that it can be copied."""
    if not root.fix:
        return []
    shown = ["  [green]Fix:[/green]"]
    for fix in root.fix:
        command = escape(console.harmless(str(fix)))
        shown.append(f"{_COMMAND}{command}")
    return shown


def _consequence_lines(cause: Cause, diagnosis: Diagnosis, *, everything: bool) -> list[str]:
    """Return what follows from a root; without --all, only the first of it."""
    consequences = cause.consequences
    if not consequences:
        return _no_failure_lines(diagnosis)
    effects = joined(consequences)
    shown = effects if everything else effects[:_FOLLOWS]
    sentences = ["  What follows from it:"]
    for code, says in shown:
        sentence = escape(one_line(says))
        sentences.append(f"    {code} {sentence}")
    hidden = len(effects) - len(shown)
    if hidden:
        sentences.append(f"    and {hidden} more (--all)")
    return sentences


def joined_causes(diagnosis: Diagnosis) -> list[Cause]:
    """Return the root causes, then those in progress; one for all that say and cause the same."""
    return [*_join_causes(diagnosis.causes), *_join_causes(diagnosis.progress)]


def _join_causes(causes: Iterable[Cause]) -> list[Cause]:
    groups: dict[object, list[Cause]] = {}
    for number, cause in enumerate(causes):
        joint = cause.root.joint
        key = (cause.root.code, joint.plural, cause.consequences) if joint else number
        groups.setdefault(key, []).append(cause)
    return list(map(_joint_cause, groups.values()))


def _joint_cause(causes: Sequence[Cause]) -> Cause:
    """Return one cause with the evidence and the fixes of all."""
    first = causes[0]
    if len(causes) == 1:
        return first
    roots = [cause.root for cause in causes]
    root = replace(
        first.root,
        says=_joint_sentence(roots),
        evidence=tuple(chain.from_iterable(root.evidence for root in roots)),
        fix=tuple(dict.fromkeys(chain.from_iterable(root.fix for root in roots))),
    )
    return replace(first, root=root)


def joined(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Return pairs of a code and a sentence; what several findings say is said once of them all."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        says = finding.joint.plural if finding.joint else finding.says
        groups.setdefault((finding.code, says), []).append(finding)
    return [(code, _joint_sentence(group)) for (code, _), group in groups.items()]


def _joint_sentence(findings: Sequence[Finding]) -> str:
    first = findings[0]
    names = dict.fromkeys(finding.joint.name for finding in findings if finding.joint)
    if first.joint is None or len(names) == 1:
        return first.says
    return first.joint.sentence(names)


def _no_failure_lines(diagnosis: Diagnosis) -> list[str]:
    """Say that no request fails so far, if requests were sent."""
    if diagnosis.requests and all(is_proven for _, is_proven in diagnosis.requests):
        return ["  No live request fails so far."]
    return []


def _time_lines(cause: Cause, *, everything: bool) -> list[str]:
    """Return the time line of a root, if it has more than one moment."""
    if len(cause.timeline) <= 1:
        return []
    moments = cause.timeline if everything else cause.timeline[:_TIMES]
    shown = ["  When:"]
    for moment in moments:
        text = one_line(f"{moment.source}: {moment.text}")
        shown.append(f"    {clock(moment.time)}  {escape(text)}")
    return shown


def one_line(text: str, width: int = _LINE) -> str:
    """Return text on one line without control characters, cut to `width` characters."""
    flat = console.harmless(" ".join(text.split()))
    if len(flat) <= width:
        return flat
    return f"{flat[: width - 1]}…"


def clock(time: float) -> str:
    """Return a time as UTC, the same wherever it is read."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%SZ}"


def since(time: float, taken: float) -> str:
    """Return the onset, and its age when the facts were taken.

    Times are in seconds since 1970; 0 means unknown.
    """
    if not time:
        return "onset unknown"
    seconds = max(0, int(taken - time))
    return f"since {clock(time)}, {age(seconds)} before this diagnosis"


def age(seconds: int) -> str:
    """Return a length of time in whole seconds, minutes or hours."""
    if seconds < _SECONDS_UNTIL:
        return f"{seconds} s"
    if seconds < _MINUTES_UNTIL:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h"


def plain_text(diagnosis: Diagnosis, *, everything: bool) -> str:
    """Return the diagnosis as text without markup."""
    return without_markup(lines(diagnosis, everything=everything))


def without_markup(marked_lines: Sequence[str]) -> str:
    """Return lines of markup as the text of a file."""
    plain_lines = [Text.from_markup(line).plain for line in marked_lines]
    return "\n".join(plain_lines) + "\n"


def diagnosis_shape(diagnosis: Diagnosis) -> JsonObject:
    """Shape of `doctor`. Times are in seconds since 1970, null if unknown."""
    return {
        "cluster": diagnosis.cluster,
        "profile": diagnosis.profile,
        "taken": diagnosis.taken,
        "healthy": diagnosis.healthy,
        "causes": shapes(_cause_shape, diagnosis.causes),
        "in_progress": shapes(_cause_shape, diagnosis.progress),
        "unknown": [{"what": what, "why": reason} for what, reason in diagnosis.unknown],
        "harmless": shapes(_finding_shape, diagnosis.harmless),
        "requests": [{"name": name, "ok": is_proven} for name, is_proven in diagnosis.requests],
        "path": [_place_shape(place, diagnosis) for place in Place],
        "ignored": sorted(diagnosis.ignored),
    }


def _place_shape(place: Place, diagnosis: Diagnosis) -> JsonObject:
    return {
        "place": place.value,
        "broken": place in diagnosis.broken,
        "state": diagnosis.state_of(place).value,
    }


def _cause_shape(cause: Cause) -> JsonObject:
    return {
        **_finding_shape(cause.root),
        "since": cause.since or None,
        "consequences": shapes(_finding_shape, cause.consequences),
        "timeline": shapes(_evidence_shape, cause.timeline),
    }


def _finding_shape(finding: Finding) -> JsonObject:
    return {
        "code": finding.code,
        "subject": str(finding.subject),
        "says": finding.says,
        "verdict": finding.verdict.value,
        "confidence": finding.confidence.value,
        "evidence": shapes(_evidence_shape, finding.evidence),
        "fix": list(map(str, finding.fix)),
        "reason": finding.reason,
    }


def _evidence_shape(evidence: Evidence) -> JsonObject:
    return {
        "source": evidence.source,
        "text": evidence.text,
        "time": evidence.time or None,
    }
