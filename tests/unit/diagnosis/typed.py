"""Whether what a fix says can be typed as it is printed: its commands, and those in its advice."""

import itertools
import json
import re
import shlex
from collections.abc import Iterator

import click

from devenv.cli.app import COMMANDS, LazyGroup
from devenv.diagnosis.model import Command, Fix

PROGRAMS = {
    "devenv",
    "kubectl",
    "docker",
    "sudo",
    "sed",
    "unset",
    "timedatectl",
    "start",
    "xargs",
    "echo",
}
# What kubectl takes after `describe`; it knows more.
DESCRIBED = {
    "clienttrafficpolicy", "configmap", "daemonset", "deployment", "envoyextensionpolicy", "envoypatchpolicy",
    "gateway", "gatewayclass", "httproute", "mutatingwebhookconfiguration", "namespace", "networkpolicy", "node",
    "persistentvolumeclaim", "pod", "priorityclass", "replicaset", "resourcequota", "runtimeclass", "secret",
    "service", "serviceaccount", "statefulset", "storageclass", "validatingadmissionpolicy",
    "validatingwebhookconfiguration",
}  # fmt: skip
# A command in prose: a program with a word that it understands, or a flag.
COMMAND = re.compile(
    rf"\b(?:devenv (?:{'|'.join(COMMANDS)})\b|kubectl [-a-z]+|sudo [a-z]+|timedatectl [a-z-]+"
    r"|docker (?:ps|context|exec|start|stop|network|system|login)\b"
    r"|(?<!\S)--[a-z][a-z-]*)"
)
CODE = re.compile(r"`([^`]*)`")


def faults_of_fix(fix: Fix) -> list[str]:
    """Return what is wrong with a fix: commands that nobody can type, or that no page can mark."""
    text = str(fix)
    if isinstance(fix, Command):
        return list(faults_of_command(text))
    return list(faults_of_prose(text))


def faults_of_prose(text: str) -> Iterator[str]:
    if text.count("`") % 2:
        yield f"odd backticks: {text}"
    for command in COMMAND.findall(CODE.sub("", text)):
        yield f"no backticks around {command}: {text}"
    for code in CODE.findall(text):
        if code.partition(" ")[0] in PROGRAMS and " " in code:
            yield from faults_of_command(code)


def faults_of_command(text: str) -> Iterator[str]:
    if "`" in text or "…" in text or "\n" in text:
        yield f"not to be typed: {text}"
    try:
        words = shlex.split(text)
    except ValueError as error:
        yield f"{error}: {text}"
        return
    for is_pipe, group in itertools.groupby(words, lambda word: word == "|"):
        if not is_pipe:
            yield from faults_of_program(list(group))


def faults_of_program(words: list[str]) -> Iterator[str]:
    if words[0] not in PROGRAMS:
        yield f"no program: {words}"
    if words[0] == "devenv":
        yield from faults_of_arguments(words[1:])
    if "kubectl" in words[:3]:
        yield from faults_of_kubectl(words)


def faults_of_kubectl(words: list[str]) -> Iterator[str]:
    if "-p" in words:
        patch = json.loads(words[words.index("-p") + 1])
        operations = patch if isinstance(patch, list) else []
        if not all({"op", "path"} <= set(operation) for operation in operations):
            yield f"no operation: {patch}"
    if "describe" in words:
        kind = words[words.index("describe") + 1].partition("/")[0]
        if kind not in DESCRIBED:
            yield f"kubectl may not know {kind}: {words}"


def faults_of_arguments(arguments: list[str]) -> Iterator[str]:
    """Yield why devenv itself would not understand them. A word in capitals stands for any value."""
    command: click.Command | None = LazyGroup("devenv")
    words = list(arguments)
    while isinstance(command, click.Group) and words:
        command = command.get_command(click.Context(command), words.pop(0))
    if command is None:
        yield f"no command of devenv: {arguments}"
        return
    if isinstance(command, click.Group) or any(map(str.isupper, words)):
        return
    try:
        command.make_context(command.name, words)
    except click.UsageError as error:
        yield f"{error.format_message()} {arguments}"
