"""What a report has and lacks, and that nothing private is in it."""

import json
import threading

import pytest

from devenv import data
from devenv.base.errors import DevenvError, NotReachableError
from devenv.diagnosis.model import Diagnosis
from devenv.facts.logs import LogLine
from devenv.facts.model import Facts, dump
from devenv.profiles.load import load
from devenv.profiles.model import Profile
from devenv.workstation.bugreport import DIAGNOSIS, FACTS, LOGS, PROFILE, BugReport, Part
from tests.unit.diagnosis.facts_builder import healthy_facts

OFFLINE = load("offline", data.root() / "profiles")
HEALTHY = healthy_facts()


def spell(diagnosis: Diagnosis) -> str:
    return f"verdict:{diagnosis.cluster}"


def silent(*_):
    raise NotReachableError("silent")


def line(text: str) -> LogLine:
    return LogLine("2026-01-31T14:05:00Z", "redis", "redis-1", "redis", text)


@pytest.fixture
def report(fakes):
    def make(*parts: Part, **others) -> BugReport:
        content = {
            "profile": lambda: OFFLINE,
            "facts": lambda _: HEALTHY,
            "logs": lambda _: [line("ready")],
            "describe": spell,
            **others,
        }
        return BugReport(cluster="c", clock=fakes.clock, parts=parts, **content)

    return make


def names_of_missing(collected):
    return [part.name for part in collected.missing_parts]


def test_everything_answers(report):
    collected = report(Part("a", lambda: {"a/b.txt": "text", "a/c.json": {"x": 1}})).collect()
    assert sorted(collected.texts) == ["a/b.txt", "a/c.json", DIAGNOSIS, FACTS, LOGS]
    assert collected.missing_parts == ()
    assert collected.texts[FACTS] == dump(HEALTHY)
    assert collected.texts[DIAGNOSIS] == f"verdict:{HEALTHY.cluster}"
    assert json.loads(collected.texts["a/c.json"]) == {"x": 1}
    assert "redis-1/redis" in collected.texts[LOGS]
    assert collected.sizes["a/b.txt"] == len("text")


@pytest.mark.parametrize("port", ["facts", "logs"])
def test_what_does_not_answer_leaves_the_rest(report, port):
    collected = report(Part("a", lambda: {"a": "text"}), **{port: silent}).collect()
    assert collected.texts["a"] == "text"
    expected = {"facts": [DIAGNOSIS, FACTS], "logs": [LOGS]}
    assert names_of_missing(collected) == expected[port]
    assert "silent" in str(collected.missing_parts)


def test_without_a_profile_what_needs_none_is_there(report):
    collected = report(Part("a", lambda: {"a": "text"}), profile=silent).collect()
    assert list(collected.texts) == ["a"]
    assert names_of_missing(collected) == [DIAGNOSIS, FACTS, LOGS, PROFILE]


def test_a_part_that_hangs_is_given_up(report):
    never = threading.Event()
    hanging = Part("a", lambda: {"a": str(never.wait())}, seconds=0.05)
    collected = report(hanging, Part("b", lambda: {"b": "text"})).collect()
    assert names_of_missing(collected) == ["a"]
    assert collected.texts["b"] == "text"


def test_facts_stay_if_doctor_fails_on_them(report):
    def broken(_):
        raise TypeError("boom")

    collected = report(describe=broken).collect()
    assert collected.texts[FACTS] == dump(HEALTHY)
    assert names_of_missing(collected) == [DIAGNOSIS]


def test_a_part_may_fail_in_any_way(report):
    def broken():
        raise OSError("odd")

    assert names_of_missing(report(Part("a", broken)).collect()) == ["a"]


# Secret → where it was planted.
SECRETS = {
    "abc.def-bearer": "a header in a log",
    "hunter2hunter2": "a variable in a log",
    "pa55word": "an address",
    "MIIEkey": "a private key of several lines",
    "hf_abcdefghijklmnopq": "a token by its prefix",
    "my secret plan": "a question to a model",
    "tokenasuser": "a token in the place of a user",
    "planted-header": "a header of a request in the profile",
    "somebody": "the user's name and home",
    "jsonsecret": "a key of a document",
}
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEkey\n-----END RSA PRIVATE KEY-----"
TEXT = f"""Authorization: Bearer abc.def-bearer
TOKEN=hunter2hunter2
redis://:pa55word@redis:6379
{PEM}
hf_abcdefghijklmnopq
{{"prompt": "my secret plan"}}
https://tokenasuser@proxy/
sent planted-header
/home/somebody/src, by somebody
after-all"""


@pytest.fixture
def planted(report, monkeypatch):
    """A report with all secrets in all places, and with parts that fail with them."""
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr("getpass.getuser", lambda: "somebody")
    content = OFFLINE.model_dump(by_alias=True)
    request = {**content["requests"][0], "headers": {"authorization": "Bearer planted-header"}}
    profile = Profile.model_validate({**content, "requests": [request]})
    document = {"api_key": "jsonsecret", "lines": [TEXT], "path": "/srv/somebody/src"}

    def failing():
        raise DevenvError("failed", TEXT)

    return report(
        Part("a", lambda: {"a.txt": TEXT, "a.json": document, "b.json": [document]}),
        Part("failing", failing),
        profile=lambda: profile,
        logs=lambda _: map(line, TEXT.splitlines()),
    ).collect()


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_in_a_report(planted, secret):
    texts = [*planted.texts.values(), *(part.reason for part in planted.missing_parts)]
    assert [text for text in texts if secret in text] == []


def test_what_is_not_private_stays(planted):
    assert planted.texts["a.txt"].endswith("after-all")
    assert "after-all" in planted.texts[LOGS]
    assert names_of_missing(planted) == ["failing"]


def test_facts_are_taken_as_they_are(report):
    """They were redacted when they were collected."""
    facts = Facts.model_validate({**HEALTHY.model_dump(), "cluster": "hunter2"})
    assert report(facts=lambda _: facts).collect().texts[FACTS] == dump(facts)
