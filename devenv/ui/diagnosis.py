"""A diagnosis, as text that fits a terminal of 80 by 24, or as JSON. The JSON's shape is frozen by a test."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.text import Text

from devenv.diagnosis.codes import Code
from devenv.diagnosis.model import Cause, Diagnosis, Evidence, Finding, Place, Verdict
from devenv.ui import console
from devenv.ui.reports import emit_json, envelope

# characters.
_LONG = 400
# Pieces of a root that are shown.
_EVIDENCE = 3
# consequences.
_FOLLOWS = 6
# Lines of the time line.
_TIMES = 5
# Harmless to the cluster, and yet of use to whoever looks.
_NOTED = {"DE107"}
# Before a command to copy.
_COMMAND = "       "
_CROSS, _CHECK = "[bold red]✗[/bold red]", "[green]✓[/green]"


def diagnosis(diagnosis: Diagnosis, *, everything: bool, aside: bool = False) -> None:
    """Show what is wrong, root by root; `aside`, where that is not the command's result."""
    out = console.progress() if aside else console.result()
    for line in lines(diagnosis, everything=everything):
        if out.is_terminal and not everything and _may_be_cut(line):
            out.print(line, no_wrap=True, overflow="ellipsis")
        else:
            out.print(line, soft_wrap=line.startswith(_COMMAND) or not out.is_terminal)


def _may_be_cut(line: str) -> bool:
    """Whether a line may end where the terminal does: evidence and what follows may, the root and its fix may not."""
    return line.startswith("    ") and not line.startswith(_COMMAND)


def lines(diagnosis: Diagnosis, *, everything: bool = False) -> list[str]:
    """Return the lines of a diagnosis, in rich's markup."""
    shown = _headline(diagnosis)
    if not diagnosis.healthy:
        shown += ["", _path(diagnosis)]
    for cause in (*diagnosis.causes, *diagnosis.progress):
        shown += ["", *_cause(cause, diagnosis, everything=everything)]
    if diagnosis.unknown:
        shown += [
            "",
            "[yellow]?[/yellow] Could not be read:",
            *(
                f"    {escape(_one_line(what))}: {escape(_one_line(reason, _LONG))}"
                for what, reason in diagnosis.unknown
            ),
        ]
    notes = [h for h in diagnosis.harmless if h.code in _NOTED]
    if notes and not everything:
        shown += ["", *(f"[yellow]![/yellow] {h.code} {escape(h.says)}" for h in notes)]
    if everything and diagnosis.harmless:
        shown += ["", "Harmless, though it looks alarming:"]
        shown += [f"  {h.code} {escape(h.says)}" for h in diagnosis.harmless]
    if diagnosis.ignored:
        shown += ["", f"[dim]Ignored: {', '.join(sorted(diagnosis.ignored))}[/dim]"]
    return shown


def headline_text(diagnosis: Diagnosis) -> str:
    """Return the verdict without markup and sign."""
    return Text.from_markup(_headline(diagnosis)[0]).plain.partition(" ")[2]


def _headline(diagnosis: Diagnosis) -> list[str]:
    name = escape(diagnosis.cluster)
    proven = f"{sum(ok for _, ok in diagnosis.requests)} of {len(diagnosis.requests)} live requests prove their routes"
    if not diagnosis.requests:
        proven = "no live request was sent"
    if diagnosis.context:
        proven = "as far as its API server tells: no live request was sent, and Envoy was not asked"
    if diagnosis.healthy:
        return [f"{_CHECK} The cluster {name} is healthy: {proven}."]
    if diagnosis.causes:
        count = (
            "one root cause"
            if len(diagnosis.causes) == 1
            else f"{len(diagnosis.causes)} root causes, each its own"
        )
        return [
            f"{_CROSS} The cluster {name} is unhealthy: {count}. {proven[0].upper()}{proven[1:]}."
        ]
    if diagnosis.progress:
        return [
            f"[yellow]…[/yellow] The cluster {name} is not ready yet. {proven[0].upper()}{proven[1:]}."
        ]
    return [
        f"[yellow]?[/yellow] Whether the cluster {name} is healthy could not be told. {proven[0].upper()}{proven[1:]}."
    ]


def _path(diagnosis: Diagnosis) -> str:
    """Draw the way of a request, and where it is broken."""
    return " → ".join(
        f"{_CROSS} [red]{p}[/red]" if p in diagnosis.broken else f"[dim]{p}[/dim]" for p in Place
    )


def _cause(cause: Cause, diagnosis: Diagnosis, *, everything: bool) -> list[str]:
    root, taken = cause.root, diagnosis.taken
    mark = "[yellow]…[/yellow]" if root.verdict is Verdict.PROGRESS else _CROSS
    shown = [f"{mark} [bold]{root.code}[/bold] {escape(_one_line(root.says, _LONG))}"]
    words = [root.verdict.value] if root.verdict is not Verdict.FAILED else []
    words += [root.confidence.value, since(cause.since, taken)]
    shown.append(f"    [dim]{', '.join(filter(None, words))}[/dim]")
    pieces = root.evidence if everything else root.evidence[:_EVIDENCE]
    shown += [f"    {escape(_one_line(e.source))}: {escape(_one_line(e.text))}" for e in pieces]
    if cause.consequences:
        most = len(cause.consequences) if everything else _FOLLOWS
        shown.append("  What follows from it:")
        shown += [f"    {f.code} {escape(_one_line(f.says))}" for f in cause.consequences[:most]]
        if len(cause.consequences) > most:
            shown.append(f"    and {len(cause.consequences) - most} more (--all)")
    elif diagnosis.requests and all(ok for _, ok in diagnosis.requests):
        shown.append("  No live request fails so far.")
    times = cause.timeline
    if len(times) > 1:
        shown.append("  When:")
        shown += [
            f"    {clock(e.time)}  {escape(_one_line(f'{e.source}: {e.text}'))}"
            for e in _first(times, everything=everything)
        ]
    if root.fix:
        shown += [
            "  [green]Fix:[/green]",
            *(f"{_COMMAND}{escape(console.harmless(f))}" for f in root.fix),
        ]
    return shown


def _first(times: list[Evidence], *, everything: bool) -> list[Evidence]:
    return times if everything else times[:_TIMES]


def _one_line(text: str, width: int = 160) -> str:
    flat = console.harmless(" ".join(text.split()))
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"


def clock(time: float) -> str:
    """Return a time as UTC, the same wherever it is read."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%SZ}"


def since(time: float, taken: float) -> str:
    """Return since when, and how long that is."""
    if not time:
        return "since when is not known"
    ago = max(0, int(taken - time))
    spelt = f"{ago} s" if ago < 120 else f"{ago // 60} min" if ago < 7200 else f"{ago // 3600} h"  # noqa: PLR2004
    return f"since {clock(time)}, {spelt} before this look"


# JSON


def diagnosis_json(diagnosis: Diagnosis) -> None:
    """Print a diagnosis as JSON."""
    emit_json("doctor", shape(diagnosis))


def envelope_text(diagnosis: Diagnosis) -> str:
    """Return the same as text."""
    return envelope("doctor", shape(diagnosis)) + "\n"


def plain_text(diagnosis: Diagnosis, *, everything: bool) -> str:
    """Return the diagnosis as text without markup."""
    return (
        "\n".join(Text.from_markup(line).plain for line in lines(diagnosis, everything=everything))
        + "\n"
    )


def shape(diagnosis: Diagnosis) -> dict[str, Any]:
    """Shape of `doctor`. Times are in seconds since 1970, null where there is none."""
    return {
        "cluster": diagnosis.cluster, "profile": diagnosis.profile,
        "taken": diagnosis.taken, "healthy": diagnosis.healthy,
        "causes": [_cause_json(c) for c in diagnosis.causes],
        "in_progress": [_cause_json(c) for c in diagnosis.progress],
        "unknown": [{"what": what, "why": reason} for what, reason in diagnosis.unknown],
        "harmless": [_finding_json(f) for f in diagnosis.harmless],
        "requests": [{"name": name, "ok": ok} for name, ok in diagnosis.requests],
        "path": [{"place": p.value, "broken": p in diagnosis.broken} for p in Place],
        "ignored": sorted(diagnosis.ignored),
    }  # fmt: skip


def _cause_json(cause: Cause) -> dict[str, Any]:
    return {
        **_finding_json(cause.root), "since": cause.since or None,
        "consequences": [_finding_json(f) for f in cause.consequences],
        "timeline": [_evidence_json(e) for e in cause.timeline],
    }  # fmt: skip


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code, "subject": finding.subject, "says": finding.says, "verdict": finding.verdict.value,
        "confidence": finding.confidence.value, "evidence": [_evidence_json(e) for e in finding.evidence],
        "fix": list(finding.fix),
    }  # fmt: skip


def _evidence_json(evidence: Evidence) -> dict[str, Any]:
    return {"source": evidence.source, "text": evidence.text, "time": evidence.time or None}


# Codes


def listing(codes: Iterable[Code]) -> None:
    """List codes."""
    for code in codes:
        console.result().print(f"[bold]{code.code}[/bold]  {escape(code.title)}")


def explain(code: Code) -> None:
    """Say what a code means."""
    out = console.result()
    out.print(f"[bold]{code.code}[/bold]: {escape(code.title)}")
    for name, text in (
        ("Meaning", code.meaning),
        ("Why", code.why),
        ("Fix", code.fix),
        ("Source", code.source),
    ):
        out.print(f"  [dim]{name}:[/dim] {escape(text)}")


def codes_json(codes: Iterable[Code]) -> None:
    """Print codes as JSON."""
    emit_json("codes", [code_json(c) for c in codes])


def code_json(code: Code) -> dict[str, str | None]:
    """Shape of a code."""
    return {
        "code": code.code, "title": code.title, "meaning": code.meaning, "why": code.why, "fix": code.fix, "source": code.source,
        "place": code.place.value if code.place else None,
    }  # fmt: skip
