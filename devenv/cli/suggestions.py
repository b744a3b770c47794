"""What to type instead of a command that devenv does not have."""

from collections.abc import Iterable, Sequence

import click

from devenv.base.errors import DevenvError, Exit

# The least likeness of two words, by difflib's measure, and the most names that are suggested.
_LIKENESS, _MOST = 0.7, 3


class SuggestingGroup(click.Group):
    """A group that names the command to type instead of one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, as click does. Raises DevenvError if it does not exist."""
        is_option = args[0].startswith("-")
        if not is_option and not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            raise _no_such_command(ctx.command_path, args, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


def _no_such_command(path: str, words: Sequence[str], names: Sequence[str]) -> DevenvError:
    """Return the error for the first of the words, which is not among the names.

    `path`: of the group, such as "devenv model".
    """
    what = f"`{path}` has no command {words[0]}."
    listing = f"`{path} --help` lists all commands."
    commands = [f"`{path} {name}`" for name in suggested_names(path, words, names)]
    if not commands:
        return DevenvError(what, next_step=listing, exit_code=Exit.USAGE)
    next_step = f"Type {' or '.join(commands)}; {listing}"
    return DevenvError(what, next_step=next_step, exit_code=Exit.USAGE)


def suggested_names(path: str, words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return what is most likely meant: commands with their arguments, the likeliest first."""
    if words[0] == "help":
        return [f"{name} --help" for name in words[1:2] if name in names] or ["--help"]
    from devenv.cli.peers import PEERS

    peers = PEERS.get(path, {})
    for spelled in (" ".join(words[:2]), words[0]):
        if spelled in peers:
            return [peers[spelled]]
    word = words[0].replace("_", "-").lower()
    similar_names = [name for name in names if name.startswith(word)] or _similar(word, names)
    if similar_names:
        return similar_names[:_MOST]
    return [peers[peer] for peer in _similar(word, peers)][:1]


def _similar(word: str, names: Iterable[str]) -> list[str]:
    """Return the names that a word is like, the likeliest first."""
    import difflib

    return difflib.get_close_matches(word, list(names), _MOST, _LIKENESS)
