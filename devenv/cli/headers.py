"""The option --header, which several commands share. No error of it shows a value."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from devenv.profiles.headers import Headers

header_option: Callable[[Any], Any] = click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME: VALUE",
    help="Send this header too, such as an API key; may be given several times. In VALUE, ${NAME} stands for a variable, "
    "and @FILE for what is in a file.",
)


def headers_of(texts: tuple[str, ...]) -> "Headers":
    """Return the headers of --header. Raises UsageError with all that is wrong, and without any value."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - help must not wait for it

    from devenv.profiles.headers import Headers  # noqa: PLC0415 - as above

    pairs = [text.partition(":") for text in texts]
    if not all(colon for _, colon, _ in pairs):
        raise click.UsageError(
            "--header takes NAME: VALUE, such as 'Authorization: Bearer ${API_KEY}'."
        )
    values = {name.strip(): value.strip() for name, _, value in pairs}
    try:
        found: Headers = TypeAdapter(Headers).validate_python(values)
    except ValidationError as error:
        problems = [
            f"{e['loc'][0]}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        ]
        raise click.UsageError(f"--header: {'; '.join(problems)}.") from None
    return found
