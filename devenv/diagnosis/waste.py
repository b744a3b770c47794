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
    made, verb = _made(waste, taken), "takes" if waste.count == 1 else "take"
    thing = "earlier build" if waste.former_name else "image"
    things = f"1 {thing}" if waste.count == 1 else f"{waste.count} {thing}s"
    whose = f"of {waste.former_name}" if waste.former_name else "without a name"
    return f"{things} {whose} ({made}) {verb} {size}"


def _made(waste: WasteFacts, taken: float) -> str:
    oldest, today = (datetime.fromtimestamp(t).astimezone().date() for t in (waste.oldest, taken))
    return "made today" if oldest == today else f"made since {oldest.isoformat()}"
