"""What `--ignore` may leave out: a code, or of a code one of the reasons that Kubernetes tells."""

from devenv.base.errors import DevenvError, Exit
from devenv.diagnosis import codes
from devenv.profiles.reasons import REASONS, reason_problem


def tag_of(text: str) -> str:
    """Return what a user wants to leave out, as CODE or CODE:REASON.

    Raises DevenvError if the code does not exist, or if the reason is malformed or misspelt.
    """
    code, colon, reason = text.partition(":")
    name = codes.get(code).code
    if not colon:
        return name
    by_lower_case = {usual.lower(): usual for usual in REASONS}
    if usual_reason := by_lower_case.get(reason.lower()):
        return f"{name}:{usual_reason}"
    if problem := reason_problem(reason):
        raise DevenvError(
            f"{text} can't be ignored: {problem}.",
            next_step="Write it as DE313:FailedMount, with the reason that the evidence shows.",
            exit_code=Exit.USAGE,
        )
    return f"{name}:{reason}"
