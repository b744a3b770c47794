"""Commands for this cluster, ready to copy from a fix."""

import json
import shlex
from typing import Any

from devenv import DEFAULT_CLUSTER
from devenv.diagnosis.model import Command
from devenv.facts.model import Facts


def devenv_command(facts: Facts, *words: str) -> Command:
    """Return a devenv command for the cluster of the facts."""
    if facts.cluster == DEFAULT_CLUSTER:
        return Command(("devenv", *words))
    return Command(("devenv", *words, "--name", facts.cluster))


def recover(facts: Facts) -> tuple[Command, ...]:
    """Return the fix of everything that devenv repairs by itself."""
    return (devenv_command(facts, "recover"),)


def kubectl_command(facts: Facts, namespace: str, *words: str) -> Command:
    """Return a kubectl command for one namespace of the cluster of the facts.

    Without a namespace, it is for an object of the whole cluster.
    """
    context = facts.context or f"kind-{facts.cluster}"
    place = ("-n", namespace) if namespace else ()
    return Command(("kubectl", "--context", context, *place, *words))


def json_word(content: Any) -> str:
    """Return JSON as one word of a shell command."""
    return shlex.quote(json.dumps(content, separators=(",", ":")))
