import json
from pathlib import Path

import pytest
import yaml

from devenv import data
from devenv.cli import app
from devenv.profiles.schema import schema_text


def run(capsys, *args: str) -> tuple[int, str, str]:
    code = app.run(["profile", *args])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_list_names_what_comes_with_devenv(capsys):
    lines = run(capsys, "list")[1].splitlines()
    found = json.loads(run(capsys, "list", "-o", "json")[1])
    assert found["kind"] == "profiles"
    assert found["result"][0].keys() == {"name", "description"}
    for profile in found["result"]:
        (line,) = [line for line in lines if line.split()[0] == profile["name"]]
        assert profile["description"] in line


def test_show_gives_the_whole_profile_and_what_it_shows_is_a_profile(capsys, tmp_path: Path):
    code, out, _ = run(capsys, "show", "offline")
    assert code == 0
    (tmp_path / "shown.yaml").write_text(out)
    assert run(capsys, "show", str(tmp_path / "shown.yaml"))[1] == out
    assert yaml.safe_load(out)["gateway"]["host_port"] == 8888


def test_validate_tells_right_from_wrong(capsys, tmp_path: Path, check_message):
    code, out, _ = run(capsys, "validate", "offline")
    assert code == 0
    check_message(out)
    (tmp_path / "bad.yaml").write_text("extends: offline\nwrong: 1\n")
    code, out, err = run(capsys, "validate", str(tmp_path / "bad.yaml"))
    assert (code, out) == (2, "")
    assert f"{tmp_path}/bad.yaml:2: wrong:" in err


def result(out: str, kind: str):
    document = json.loads(out)
    assert (document["version"], document["kind"]) == (1, kind)
    return document["result"]


def test_show_as_json_is_what_the_yaml_says(capsys):
    shown = yaml.safe_load(run(capsys, "show", "offline")[1])
    assert result(run(capsys, "show", "offline", "-o", "json")[1], "profile") == shown


def test_manifests_as_json_are_those_of_the_yaml(capsys, monkeypatch):
    objects = [{"kind": "A", "metadata": {"name": "é"}}, {"kind": "B", "data": {"x": "1"}}]
    monkeypatch.setattr("devenv.wiring.World.rendered", lambda *_: objects)
    arguments = ("show", "offline", "--rendered")
    assert list(yaml.safe_load_all(run(capsys, *arguments)[1])) == objects
    assert result(run(capsys, *arguments, "-o", "json")[1], "manifests") == objects


def test_validate_as_json(capsys, tmp_path: Path):
    own = tmp_path / "mine.yaml"
    own.write_text("extends: offline\nname: mine\nimages: [{name: new, ref: docker.io/a/b:1}]\n")
    code, out, _ = run(capsys, "validate", str(own), "-o", "json")
    content = result(out, "profile-validation")
    assert code == 0
    assert content.keys() == {
        "profile", "valid", "images", "components", "requests", "new_names"
    }  # fmt: skip
    assert content["new_names"] == ["images.new"]
    assert (content["profile"], content["valid"]) == (str(own), True)
    own.write_text("wrong: 1\n")
    code, out, _ = run(capsys, "validate", str(own), "-o", "json")
    assert code == 2
    assert "wrong" in result(out, "error")["why"]


def test_init_as_json(capsys, tmp_path: Path):
    own = tmp_path / "mine.yaml"
    code, out, _ = run(capsys, "init", str(own), "--host-port", "9999", "-o", "json")
    assert code == 0
    assert result(out, "profile-init") == {
        "file": str(own),
        "extends": "offline",
        "host_port": 9999,
    }
    assert run(capsys, "init", "-", "-o", "json")[0] == 2


def test_the_schema_in_docs_is_todays():
    written = data.root() / "docs" / "profile.schema.json"
    assert written.read_text() == schema_text(), (
        "run: devenv profile schema > docs/profile.schema.json"
    )


def test_init_writes_a_profile_that_is_right_and_never_over_a_file(capsys, tmp_path: Path):
    own = tmp_path / "mine.yaml"
    code, out, _ = run(capsys, "init", str(own), "--host-port", "9999")
    assert code == 0
    assert f"devenv up --name mine --profile {own}" in out
    assert yaml.safe_load(own.read_text()) == {
        "extends": "offline",
        "name": "mine",
        "gateway": {"host_port": 9999},
    }
    assert run(capsys, "init", str(own))[0] == 2
    assert run(capsys, "init", str(own), "--force", "--host-port", "1234")[0] == 0
    assert run(capsys, "validate", str(own))[0] == 0


@pytest.mark.parametrize(
    "args", [["--extends", "unknown"], ["--host-port", "0"], ["--node-port", "80"]]
)
def test_init_refuses_what_would_not_be_right(capsys, tmp_path: Path, args):
    code, _, err = run(capsys, "init", str(tmp_path / "mine.yaml"), *args)
    assert code == 2
    assert "Traceback" not in err
    assert not (tmp_path / "mine.yaml").exists()
