"""Whose waste fills a disk, as evidence."""

from collections.abc import Collection
from datetime import datetime

from devenv.diagnosis.model import Evidence
from devenv.facts.model import Facts, WasteFacts
from devenv.profiles.quantities import show

_SHOWN = 3


def waste_on(facts: Facts, places: Collection[str]) -> list[Evidence]:
    """Say whose waste is in these places, the engine or nodes; the largest first."""
    waste = [w for w in facts.waste if w.place in places]
    largest = sorted(waste, key=lambda w: -w.size)[:_SHOWN]
    return [Evidence("waste", _text(w, facts.taken)) for w in largest]


def _text(waste: WasteFacts, taken: float) -> str:
    """Say: 1.2 GiB are 4 earlier builds of vllm-mock, from today. `taken`: when it was seen."""
    size = show(waste.size)
    if waste.build_cache:
        return f"{size} are build cache that no image needs"
    of = f" of {waste.former_name}" if waste.former_name else ", whose name is not known"
    since = _since(waste, taken)
    if waste.count == 1:
        return f"{size} is an earlier build{of}, {since}"
    return f"{size} are {waste.count} earlier builds{of}, {since}"


def _since(waste: WasteFacts, taken: float) -> str:
    oldest, today = (datetime.fromtimestamp(t).astimezone().date() for t in (waste.oldest, taken))
    return "from today" if oldest == today else f"from {oldest.isoformat()} on"
