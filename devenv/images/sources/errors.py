"""The error for images that no source has."""

from collections.abc import Sequence

from devenv.base.errors import DevenvError, Exit
from devenv.images.sources.registry import Failure

_OTHER_WAYS = (
    "with `docker load -i FILE` or `docker pull`, or name a file in the profile:"
    " images: [{name: …, archive: FILE}]. To build AIBrix's own images from its source, run"
    " `devenv up --checkout PATH`."
)


class ImageNotAvailableError(DevenvError):
    """One image or several that no source has."""

    def __init__(self, *refs: str, failures: Sequence[Failure] = ()) -> None:
        """`refs` names all of them. `failures` is what the registries said that were asked."""
        subject, pronoun = "Images", "them"
        if len(refs) == 1:
            subject, pronoun = "Image", "it"
        reasons = [_as_sentence(failure) for failure in failures]
        if not reasons:
            elsewhere = "no registry answers, and the profile has no recipe"
            reasons = [f"The engine does not have {pronoun}, {elsewhere}."]
        ways_out = [failure.way_out for failure in failures]
        super().__init__(
            f"{subject} not available: {', '.join(refs)}.",
            "\n".join(reasons),
            " ".join([*ways_out, f"Get {pronoun} {_OTHER_WAYS}"]),
            Exit.PREREQUISITE,
        )
        self.refs = refs


def _as_sentence(failure: Failure) -> str:
    text = failure.sentence
    return f"{text[0].upper()}{text[1:]}."
