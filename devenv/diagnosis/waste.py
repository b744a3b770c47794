"""Which images and caches waste space on a full disk, as evidence."""

from collections.abc import Collection, Iterable
from datetime import date, datetime

from devenv.diagnosis.model import Evidence
from devenv.facts.model import Facts, WasteFacts
from devenv.profiles.quantities import show

# Pieces of evidence for one disk.
_SHOWN = 3


def waste_on(facts: Facts, places: Collection[str]) -> list[Evidence]:
    """Return the largest waste in these places, which are "engine" and the names of nodes."""
    waste_there = [w for w in facts.waste if w.place in places]
    waste_there.sort(key=lambda w: -w.size)
    return [Evidence("waste", _describe(w, facts.taken)) for w in waste_there[:_SHOWN]]


def describe_full_disk(message: str, waste: Iterable[Evidence]) -> str:
    """Return a full disk's message with a sentence for each piece of waste."""
    return " ".join([message, *(f"{evidence.text}." for evidence in waste)])


def _describe(waste: WasteFacts, taken: float) -> str:
    """Return for example: 4 earlier builds of vllm-mock (made today) take 1.2 GiB.

    `taken`: when the facts were collected, in seconds since 1970.
    """
    size = show(waste.size)
    if waste.build_cache:
        return f"Build cache that no image needs takes {size}"
    images = f"{earlier_builds(waste.count, waste.former_name)} ({_spell_age(waste, taken)})"
    verb = "takes" if waste.count == 1 else "take"
    return f"{images} {verb} {size}"


def earlier_builds(count: int, former_name: str) -> str:
    """Return for example: 4 earlier builds of vllm-mock; or 4 images without a name.

    `former_name`: "" if the images' name was never seen.
    """
    plural = "" if count == 1 else "s"
    if former_name:
        return f"{count} earlier build{plural} of {former_name}"
    return f"{count} image{plural} without a name"


def _spell_age(waste: WasteFacts, taken: float) -> str:
    oldest_day = _local_day(waste.oldest)
    if oldest_day == _local_day(taken):
        return "made today"
    return f"made since {oldest_day.isoformat()}"


def _local_day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds).astimezone().date()
