"""A request's headers: what they refer to is put in, and what is secret is seen nowhere."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.facts.model import dump, parse
from devenv.facts.redact import redacted
from devenv.gates.headers import check, resolve
from devenv.gates.live import Prober
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.load import load, to_yaml
from devenv.profiles.model import LiveRequest
from tests.unit.diagnosis.test_diagnose_incidents import read

FOLDER = data.root() / "profiles"
SECRET = "planted-Q7x9mZ2"
PROFILE = """extends: offline
name: keyed
requests:
  - {{name: direct, headers: {{Authorization: '{value}'}}}}
"""


def request(**headers):
    return LiveRequest.model_validate(
        {"name": "direct", "route": "direct", "model": "m", "headers": headers}
    )


@pytest.fixture
def key(monkeypatch, tmp_path):
    """The planted secret, in a variable and in a file."""
    monkeypatch.setenv("PLANTED", SECRET)
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    return file


@pytest.mark.parametrize(
    "value", ["Bearer ${PLANTED}", "Bearer @FILE", "@FILE", "${PLANTED}", f"Bearer {SECRET}"]
)
def test_a_value_is_sent_and_never_shown(key, value):
    live = request(Authorization=value.replace("FILE", str(key)))
    resolved = resolve(live)
    assert resolved.problems == ()
    assert resolved.headers["Authorization"].endswith(SECRET)
    told = [
        repr(live),
        str(live),
        live.model_dump_json(),
        repr(resolved),
        resolved.hide(f'"key {SECRET}"'),
    ]
    assert not [text for text in told if SECRET in text]
    check([live])


def test_a_plain_headers_word_stays_where_others_say_it():
    """Else a tenant called `default` would take a namespace out of the facts."""
    assert resolve(request(**{"X-Tenant": "default"})).secrets == ()


@pytest.mark.parametrize(
    "value", ["${NOT_SET_ANYWHERE}", "@/no/such/file", "Bearer ${NOT_SET_ANYWHERE} @/no/such/file"]
)
def test_what_is_not_there_is_refused_before_anything_is_sent(value):
    with pytest.raises(DevenvError) as refused:
        check([request(Authorization=value), request(**{"X-Other": value})])
    assert refused.value.exit_code is Exit.USAGE
    assert len(refused.value.why.splitlines()) == 2 * len(
        resolve(request(Authorization=value)).problems
    )


@pytest.mark.parametrize("headers", [
    {"model": "x"}, {"Routing-Strategy": "x"}, {"User-Agent": "x"}, {"Host": "x"}, {"a b": "x"}, {"": "x"}, {"A": ""},
    {"A": f"{SECRET}\nX: y"}, {"A": f"{SECRET} \u2713"},
])  # fmt: skip
def test_headers_that_can_not_be_are_refused_without_their_value(headers):
    with pytest.raises(ValidationError) as refused:
        request(**headers)
    assert SECRET not in str(refused.value)


def test_a_file_with_a_line_break_in_it_is_not_sent(tmp_path):
    (tmp_path / "two").write_text(f"{SECRET}\nsecond line")
    (problem,) = resolve(request(Authorization=f"Bearer @{tmp_path / 'two'}")).problems
    assert SECRET not in problem


def test_what_is_lacking_is_told_in_facts_too():
    """A name of a header, a colon and a word is what redaction takes for a credential."""
    (problem,) = resolve(request(Authorization="${NOT_SET_ANYWHERE}")).problems
    assert redacted({"error": problem}, "/root", [])["error"] == problem


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("Bearer ${PLANTED}", True),
        ("Bearer @key", True),
        (SECRET, False),
        (f"{SECRET}${{X}}", False),
    ],
)
def test_profile_show_has_references_and_no_secrets(tmp_path, value, seen):
    path = tmp_path / "keyed.yaml"
    path.write_text(PROFILE.format(value=value))
    told = to_yaml(load(str(path), FOLDER))
    assert SECRET not in told
    assert ("Bearer" in told) == seen
    assert ("[redacted]" in told) != seen


def test_a_profiles_file_is_seen_from_its_folder(tmp_path):
    (tmp_path / "key").write_text(SECRET)
    path = tmp_path / "keyed.yaml"
    path.write_text(PROFILE.format(value="Bearer @key"))
    (direct,) = [r for r in load(str(path), FOLDER).requests if r.headers]
    assert resolve(direct).headers == {"Authorization": f"Bearer {SECRET}"}


def test_debug_shows_no_secret_of_a_profile_that_is_wrong(tmp_path, capsys, monkeypatch):
    from devenv.cli.app import run

    path = tmp_path / "keyed.yaml"
    wrong = f'  - {{name: other, route: sideways, model: m, headers: {{A: "{SECRET}\\n"}}}}'
    path.write_text(PROFILE.format(value=SECRET) + wrong)
    args = ["--debug", "profile", "show", str(path)]
    monkeypatch.setattr("sys.argv", ["devenv", *args])
    assert run(args) == Exit.USAGE
    told = capsys.readouterr()
    assert "Traceback" in told.err
    assert SECRET not in told.out + told.err


@pytest.mark.parametrize("text", [SECRET, f"model: {SECRET}", f"Authorization: {SECRET}\u2713"])
def test_a_wrong_option_is_refused_without_its_value(text):
    from devenv.cli.request import COMMAND

    done = CliRunner().invoke(COMMAND, ["--header", text])
    assert done.exit_code == 2
    assert SECRET not in done.output


@pytest.fixture
def prober(fakes):
    return Prober(fakes.kube, fakes.gateway, fakes.clock, load("offline", FOLDER))


def test_what_a_server_sends_back_is_hidden_in_facts(fakes, prober, key, monkeypatch):
    monkeypatch.setattr(
        fakes.gateway, "send",
        lambda sent: HttpAnswer(401, {"x-got": sent.headers["Authorization"]}, json.dumps({"key": sent.headers["Authorization"]})),
    )  # fmt: skip
    live = request(Authorization="Bearer ${PLANTED}")
    (proof,) = prober.probe([live])
    assert (proof.keyless, proof.lasting, proof.ok) == (True, True, False)
    healthy = read("healthy")
    profile = healthy.profile.model_copy(update={"requests": (live,)})
    text = dump(healthy.model_copy(update={"profile": profile, "proofs": (proof,)}))
    assert SECRET not in text + repr(proof)
    assert parse(text).profile.requests[0].headers, "they are among the facts, without their values"


def test_a_request_that_can_not_be_sent_is_told_as_that(fakes, prober):
    (proof,) = prober.probe([request(Authorization="${NOT_SET_ANYWHERE}")])
    assert (proof.ok, proof.lasting, proof.answer.sent) == (False, True, False)
    assert not fakes.kube.access_log, "nothing was sent"


@pytest.mark.parametrize("answer", [HttpAnswer(401, {}, "no key"), HttpAnswer(200, {}, "hello")])
def test_what_no_waiting_changes_ends_the_wait_at_once(fakes, prober, answer, monkeypatch):
    """So `up` says at once what `doctor` will say."""
    send = fakes.gateway.send

    def odd(sent):
        own = send(sent)
        return replace(own, status=answer.status, body=answer.body)

    monkeypatch.setattr(fakes.gateway, "send", odd)
    began = fakes.clock.monotonic()
    with pytest.raises(DevenvError) as failed:
        prober.until_proven(60)
    assert fakes.clock.monotonic() - began < 5
    remedy = "API key" if answer.status == 401 else "anonymous: true"
    assert remedy in failed.value.next_step
    (line,) = failed.value.why.splitlines()
    assert len(line.partition(":")[0].split(", ")) == 3


def test_what_may_change_is_waited_for(fakes, prober):
    fakes.gateway.broken = {"direct"}
    began = fakes.clock.monotonic()
    with pytest.raises(DevenvError):
        prober.until_proven(60)
    assert fakes.clock.monotonic() - began >= 60
