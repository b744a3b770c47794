"""Installs completion for the user's shell."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import platformdirs

# zsh's script needs compdef, which a .zshrc without compinit lacks.
_PREPARE_ZSH = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n"


@dataclass(frozen=True)
class Installed:
    """What an installation has written."""

    script: Path
    # The shell's start file, if a line was added to it.
    start_file: Path | None = None

    @property
    def lines(self) -> list[str]:
        """What to tell the user."""
        lines = [f"Wrote {self.script}."]
        if self.start_file:
            lines.append(f"Added a line to {self.start_file} that reads it.")
        return [*lines, "New shells complete devenv's commands and values."]


def install(shell: str, script: str) -> Installed:
    """Write the script of bash, zsh or fish, and have new shells read it. Raises OSError."""
    if shell == "fish":
        # fish reads this folder by itself.
        path = _config_folder() / "fish" / "completions" / "devenv.fish"
        _write(path, script)
        return Installed(path)
    if shell == "zsh":
        script = _PREPARE_ZSH + script
    path = platformdirs.user_data_path("devenv") / f"completion.{shell}"
    _write(path, script)
    start_file = _start_file(shell)
    return Installed(path, start_file if _add_line(start_file, path) else None)


def _config_folder() -> Path:
    """Return the folder that fish uses on macOS, too."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _start_file(shell: str) -> Path:
    if shell == "zsh":
        return Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    return Path.home() / ".bashrc"


def _write(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)


def _add_line(start_file: Path, script: Path) -> bool:
    """Add the line that reads the script, unless it is there; return whether it was added.

    Adds to the file as it is, which may be a link to where its user keeps it.
    """
    quoted_path = shlex.quote(str(script))
    line = f"[ -r {quoted_path} ] && . {quoted_path}  # devenv's completion"
    with start_file.open("a+", encoding="utf-8") as file:
        file.seek(0)
        text = file.read()
        if line in text.splitlines():
            return False
        separator = "" if text.endswith("\n") or not text else "\n"
        file.write(f"{separator}{line}\n")
    return True
