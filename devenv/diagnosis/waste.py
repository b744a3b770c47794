"""Whose waste fills a disk, as evidence."""

from collections.abc import Collection
from datetime import datetime

from devenv.diagnosis.model import Evidence
from devenv.facts.model import Facts, WasteFacts
from devenv.profiles.quantities import show

_SHOWN = 3


def waste_on(facts: Facts, places: Collection[str]) -> list[Evidence]:
    """Return whose waste is in these places (the engine, nodes), the largest first."""
    waste = [w for w in facts.waste if w.place in places]
    largest = sorted(waste, key=lambda w: -w.size)[:_SHOWN]
    return [Evidence("waste", _text(w, facts.taken)) for w in largest]


def _text(waste: WasteFacts, taken: float) -> str:
    """Say: 4 earlier builds of vllm-mock (made today) take 1.2 GiB. `taken`: when it was seen."""
    size = show(waste.size)
    if waste.build_cache:
        return f"Build cache that no image needs takes {size}"
    verb = "takes" if waste.count == 1 else "take"
    return f"{earlier_builds(waste.count, waste.former_name)} ({_made(waste, taken)}) {verb} {size}"


def earlier_builds(count: int, former_name: str) -> str:
    """Say: 4 earlier builds of vllm-mock; or 4 images without a name. `former_name`: "" where it was never seen."""
    thing = "earlier build" if former_name else "image"
    things = f"1 {thing}" if count == 1 else f"{count} {thing}s"
    return f"{things} of {former_name}" if former_name else f"{things} without a name"


def _made(waste: WasteFacts, taken: float) -> str:
    oldest, today = (datetime.fromtimestamp(t).astimezone().date() for t in (waste.oldest, taken))
    return "made today" if oldest == today else f"made since {oldest.isoformat()}"
