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
    metavar="HEADER: VALUE",
    help="Also send this header, such as an API key; repeatable. In VALUE, ${VAR} stands for an "
    "environment variable, and @FILE for a file's content.",
)


def headers_of(texts: tuple[str, ...]) -> "Headers":
    """Return the headers of --header. Raises UsageError with every error, and without any value."""
    from pydantic import TypeAdapter, ValidationError

    from devenv.profiles.headers import Headers

    pairs = [text.partition(":") for text in texts]
    if not all(colon for _, colon, _ in pairs):
        raise click.UsageError(
            "--header takes HEADER: VALUE, such as 'Authorization: Bearer ${API_KEY}'."
        )
    values = {name.strip(): value.strip() for name, _, value in pairs}
    try:
        headers: Headers = TypeAdapter(Headers).validate_python(values)
    except ValidationError as error:
        problems = [
            f"{problem['loc'][0]}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise click.UsageError(f"--header: {'; '.join(problems)}.") from None
    return headers
