"""The commands and YAML that README and the guide print, and where each command can run."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
PAGES += [ROOT / "docs" / "aibrix-tests.md", ROOT / "docs" / "github-actions.md"]
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(devenv [a-z-][^`\n]*)`")

# Printed, but not run by a test: why.
NOT_RUN = {
    "devenv setup": "installs packages",
    "devenv up --aibrix-version v0.7.0": "downloads a release",
    "devenv up --checkout ~/src/aibrix": "needs a checkout; tests/cluster/test_aibrix.py does it with one of its shape",
    "devenv up --adopt": "needs a cluster by hand; tests/cluster/test_adopt.py",
    "devenv up --name other --port 8889": "a cluster more",
    "devenv up --name other --profile other.yaml": "a cluster more; tests/cluster/test_up.py",
    "devenv down --name other": "a cluster more",
    "devenv -n other status": "a cluster more",
    "devenv down --purge": "removes the images that tests need; tests/cluster/test_purge.py",
    "devenv kubectl apply -f - < my-models/a.yaml": "a shell reads the file",
    "devenv model add NAME": "a placeholder",
    "devenv profile show aibrix --rendered": "downloads a release",
    "devenv reload-image REF": "a placeholder",
}
REASONS = (
    (r"--build\b|--watch\b", "builds; tests/cluster/test_reload.py and test_aibrix.py"),
    (r"\btest-e2e\b", "AIBrix's own tests, for minutes; tests/cluster/test_aibrix.py"),
    (r"--profile aibrix-e2e", "needs a checkout of AIBrix"),
    (r"^devenv schedule (install|status|remove)", "changes the user's crontab; tests/cluster/test_disk.py"),
    (r"^devenv prune(?! (--dry-run|--history))", "removes what the machine's engine has; tests/cluster/test_disk.py"),
    (r"^devenv reload-image", "needs an image of the user's; tests/cluster/test_reload.py"),
    (r"\b[A-Z]{4,}\b(?!_KEY)|…|\[", "a placeholder"),
    (r"^devenv recover$", "asks; tests/cluster/test_doctor.py"),
    (r"^devenv completion .*--install", "changes the user's shell; tests/unit/workstation/test_completion.py"),
    (r"--context", "needs a context of the user's; tests/cluster/test_context.py"),
    (r"^devenv (stop|down)$", "ends the tests' cluster; tests/cluster/test_node_stopped.py"),
)  # fmt: skip
ANYWHERE = re.compile(r"^devenv (profile|doctor (--list|--explain|--from)|--version)")


@dataclass(frozen=True)
class Block:
    """A code block. `language` as it is after the backticks."""

    page: Path
    language: str
    content: str


def blocks(language: str) -> list[Block]:
    """Return the code blocks of one language, page by page."""
    return [
        Block(page, found[2], found[3])
        for page in PAGES
        for found in _BLOCK.finditer(page.read_text())
        if found[2] == language
    ]


def commands() -> list[str]:
    """Return each devenv command that is printed, once, in blocks or in a line."""
    lines = [line for block in blocks("sh") for line in _joined(block.content).splitlines()]
    inline = [command for page in PAGES for command in _INLINE.findall(_without_blocks(page))]
    in_blocks = [line.partition("  #")[0].strip() for line in lines if line.startswith("devenv ")]
    return list(dict.fromkeys([*in_blocks, *inline]))


def _joined(text: str) -> str:
    return text.replace("\\\n", " ")


def _without_blocks(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


def arguments(command: str) -> list[str]:
    """Return what follows the program's name."""
    return shlex.split(command)[1:]


def reason_not_run(command: str) -> str:
    """Return why no test runs a command; "" if one does."""
    if command in NOT_RUN:
        return NOT_RUN[command]
    for pattern, reason in REASONS:
        if re.search(pattern, command):
            return reason
    return ""


def run_anywhere() -> list[str]:
    """Return the commands that need neither a cluster nor an engine."""
    return [c for c in commands() if ANYWHERE.match(c) and not reason_not_run(c)]


def run_on_a_cluster() -> list[str]:
    """Return the commands that need a cluster, and nothing else."""
    return [c for c in commands() if not ANYWHERE.match(c) and not reason_not_run(c)]
