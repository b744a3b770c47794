import re
from pathlib import Path

import pytest
import yaml

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.profiles.load import check, load, new_items

FOLDER = data.root() / "profiles"


def test_the_profile_that_comes_with_devenv_is_right():
    profile = load("offline", FOLDER)
    assert profile.gateway.url == "http://localhost:8888"
    assert [r.route.value for r in profile.requests] == ["direct", "extension", "plain"]
    assert "node" not in [i.name for i in profile.cluster_images]


def test_a_profile_extends_another_and_changes_only_what_it_names(tmp_path: Path):
    own = tmp_path / "mine.yaml"
    own.write_text(
        "extends: offline\nname: mine\ngateway: {host_port: 9999}\nmanifests:\n  - {name: models, path: my/models.yaml}\n"
    )
    profile = load(str(own), FOLDER)
    assert (profile.name, profile.gateway.host_port, profile.gateway.node_port) == (
        "mine",
        9999,
        30888,
    )
    assert [m.path for m in profile.manifests] == [
        "",
        "offline/gateway.yaml",
        str(tmp_path / "my/models.yaml"),
    ]


def test_all_errors_are_told_at_once_with_their_lines(tmp_path: Path):
    own = tmp_path / "bad.yaml"
    own.write_text(
        "extends: offline\ngateway:\n  host_port: 99999\n  colour: red\nnot_a_key: 1\nrequests:\n  - {route: sideways, model: m}\n"
    )
    with pytest.raises(DevenvError) as caught:
        load(str(own), FOLDER)
    assert caught.value.exit_code == Exit.USAGE
    found = caught.value.why.splitlines()
    assert len(found) == 4
    assert f"{own}:3: gateway.host_port:" in caught.value.why
    assert f"{own}:4: gateway.colour: " in caught.value.why
    assert f"{own}:5: not_a_key:" in caught.value.why
    assert "route:" in caught.value.why


IMPOSSIBLE = [
    "components: [{name: proxy, after: [nothing]}]",
    "components: [{name: redis, after: [gateway-plugins]}]",
    "components: [{name: redis, deadline: .inf}]",
    f"gateway: {{host_port: {'9' * 5000}}}",
    "requests: []",
    "cluster: {image: nothing}",
    "manifests: [{name: models, recipe: a/b}]",
    "images: [{name: vllm-mock, recipe: ''}]",
    "images: [{name: [a]}]",
    "cluster: {kind: {nodes: x}}",
    "cluster: {kind: {nodes: [1]}}",
    "needs: {memory: 1" + "0" * 400 + "}",
    "components: [{name: definitions, gate: workload, resource: {apiVersion: v1, kind: P, name: a}}]",
    "images: [{name: envoy, archive: ~nobody-at-all/x.tar}, {name: x, ref: x, pull: 7}]",
    "name: ../x",
    "name: ''",
    'name: "a\\nb"',
    "needs: {cpus: -2}",
    "gateway: {namespace: 'A b'}",
    "gateway: {name: ../x}",
    "gateway: {name: ''}",
    "cluster: {kind: {nodes: [{role: worker}, {role: boss}]}}",
    "cluster: {kind: {nodes: [{role: worker}]}}",
    "manifests: [{name: models, path: '', url: 'https://', sha256: '" + "0" * 64 + "'}]",
    "manifests: [{name: models, path: '', url: 'https://h:99999/', sha256: '" + "0" * 64 + "'}]",
    "manifests: [{name: models, path: '', url: 'ftp://h/x', sha256: '" + "0" * 64 + "'}]",
    "requests: [{name: direct, route: direct, model: m, headers: {x-a: 'Bearer ${API KEY}'}}]",
    'images: [{name: vllm-mock, build: ["a\\0b"]}]',
    "images: [{name: envoy, archive: " + "x" * 5000 + "}, {name: x, ref: x, pull: 7}]",
]  # fmt: skip


@pytest.mark.parametrize("change", IMPOSSIBLE, ids=lambda change: change[:70])
def test_what_cannot_work_is_refused(tmp_path: Path, change: str, expect_error):
    own = tmp_path / "bad.yaml"
    own.write_text(f"extends: offline\n{change}\n")
    with expect_error(Exit.USAGE):
        load(str(own), FOLDER)


def test_a_device_in_a_files_place_is_refused_before_it_is_read(tmp_path: Path):
    own = tmp_path / "mine.yaml"
    own.write_text(
        "extends: offline\nname: mine\nmanifests:\n  - {name: models, path: /dev/zero}\n"
    )
    with pytest.raises(DevenvError) as caught:
        check(str(own), FOLDER)
    assert f"{own}:4: manifests.models.path: " in caught.value.why


def test_an_error_in_a_list_is_told_by_the_items_name_and_its_own_line(tmp_path: Path):
    own = tmp_path / "bad.yaml"
    own.write_text(
        "extends: offline\nimages:\n  - name: envoy\n    archve: a.tar\n"
        "manifests:\n  - name: models\n    sha256: short\n    path: a.yaml\n"
    )
    with pytest.raises(DevenvError) as caught:
        load(str(own), FOLDER)
    assert f"{own}:4: images.envoy.archve: " in caught.value.why
    assert f"{own}:7: manifests.models.sha256: " in caught.value.why


def test_versions_and_options_that_nobody_has_chosen_are_checked_too(tmp_path: Path, expect_error):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "extends: aibrix\nname: mine\n"
        "versions:\n  v0.6.0: {components: [{name: proxy, gate: nonsense}]}\n"
        "options:\n  wide: {images: [{name: redis, rf: x}]}\n"
    )
    assert load(str(file), FOLDER)
    with expect_error(Exit.USAGE):
        check(str(file), FOLDER)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("versions: [x]", "3: versions:"),
        ("options: 3", "3: options:"),
        ("options:\n  a: [1]\n  b: x", "4: options.a:"),
    ],
)
def test_versions_and_options_that_are_no_maps_are_refused(tmp_path: Path, change: str, where: str):
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: aibrix\nname: mine\n{change}\n")
    for read in (load, check):
        with pytest.raises(DevenvError, match=f"mine.yaml:{where}"):
            read(str(file), FOLDER)


@pytest.mark.parametrize(
    "line",
    ["description: 2026-13-45", "keep_newer: !!int abc", "gateway: !!bool perhaps", "ignore: !!timestamp x", "a: &a [*a]",
     f"a: {'[' * 3000}"],
    ids=range(6),
)  # fmt: skip
def test_what_pyyaml_itself_stumbles_over_is_refused(tmp_path: Path, line: str):
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: offline\nname: mine\n{line}\n")
    with pytest.raises(DevenvError, match=r"mine\.yaml:3") as caught:
        load(str(file), FOLDER)
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("name", ["aibrix", "offline"])
def test_the_profiles_that_come_with_devenv_are_right_in_every_variant(name: str):
    assert check(name, FOLDER) == load(name, FOLDER)


def test_the_address_that_envoy_gateway_replaces_is_that_of_its_own_version():
    (source,) = [m for m in load("offline", FOLDER).manifests if m.replaces]
    pinned = (data.root() / "images" / source.recipe_file[0] / "go.mod").read_text()
    (version,) = re.findall(r"github\.com/envoyproxy/gateway (v\S+)", pinned)
    assert [f"/{version}/" in address for address in source.replaces] == [True]


def test_a_misspelt_name_is_seen_since_it_is_new(tmp_path: Path, check_message):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "extends: offline\nname: mine\nimages: [{name: redis, ref: a}, {name: gateway-plugin, ref: b}, {ref: c}]\n"
    )
    check_message("\n".join(new_items(str(file), FOLDER)))
    assert new_items("offline", FOLDER) == []


def test_what_a_profile_extends_is_looked_for_beside_it(tmp_path: Path, monkeypatch):
    (tmp_path / "base.yaml").write_text("extends: offline\ngateway: {host_port: 7777}\n")
    (tmp_path / "own.yaml").write_text("extends: base.yaml\n")
    monkeypatch.chdir("/")
    assert load(str(tmp_path / "own.yaml"), FOLDER).gateway.host_port == 7777


def test_a_file_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DevenvError, match=r"bad\.yaml:1: ") as caught:
        load(str(tmp_path / "bad.yaml"), FOLDER)
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("name", ["unknown", "../profiles/offline", "nowhere.yaml"])
def test_an_unknown_profile_names_those_there_are(name: str):
    with pytest.raises(DevenvError) as caught:
        load(name, FOLDER)
    assert "offline" in caught.value.next_step


def test_what_is_no_yaml_is_refused(tmp_path: Path):
    own = tmp_path / "bad.yaml"
    own.write_text("a: [1\n")
    with pytest.raises(DevenvError, match=r"bad\.yaml:2"):
        load(str(own), FOLDER)


def test_profiles_that_extend_each_other_are_refused(tmp_path: Path, expect_error):
    (tmp_path / "a.yaml").write_text("extends: b")
    (tmp_path / "b.yaml").write_text("extends: a")
    with expect_error(Exit.USAGE):
        load("a", tmp_path)


def why(tmp_path: Path, text: str, file: str = "mine.yaml") -> list[str]:
    """Return the lines of what `profile validate` finds wrong with a profile."""
    own = tmp_path / file
    own.write_text(text)
    with pytest.raises(DevenvError) as caught:
        check(str(own), FOLDER, ["DE401", "DE402"])
    assert caught.value.exit_code == Exit.USAGE
    return caught.value.why.splitlines()


WRONG = [
    "gateway: {host_port: true}",
    "gateway: {host_port: 1:30}",
    "gateway: {hostport: 1}",
    "keep_newer: yes",
    "images: [{name: redis, ref: 'Not Valid!'}]",
    "images: [{name: redis, archive: nowhere.tar}]",
    "images: [{name: redis, build_in: nowhere}]",
    "images: [{name: gateway-plugin, pull: false}]",
    "manifests:\n- {name: models, path: nowhere/}",
    "manifests:\n- {name: more, kustomize: nowhere/}",
    "ignore:\n- DE401\n- DE499",
    "ignore:\n- DE401:FailedMout",
    "patches:\n- {name: wasm-cache-in-memori, enabled: false}",
    "components: [{name: proxy, gate: wrkload}]",
    "components: [{name: redis, after: [proxi]}]",
    "cluster: {image: nod}",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_one_error_with_its_line_and_the_nearest_right_name(
    tmp_path, text, check_message
):
    (line,) = why(tmp_path, f"extends: offline\n{text}\n")
    check_message(line)


@pytest.mark.parametrize("base", ["", " 7", " [offline]", " {}"])
def test_extends_without_a_name_is_one_error(tmp_path, base):
    (line,) = why(tmp_path, f"extends:{base}\nname: mine\n")
    assert line.startswith(f"{tmp_path}/mine.yaml:1: extends: ")


def test_a_misspelt_base_is_told_with_the_nearest(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\nextends: ofline\n")
    with pytest.raises(DevenvError) as caught:
        load(str(tmp_path / "mine.yaml"), FOLDER)
    assert f"{tmp_path}/mine.yaml:2: extends: " in caught.value.why
    assert "offline" in caught.value.next_step


def test_a_long_chain_that_is_no_circle_works(tmp_path):
    for number in range(40):
        base = f"p{number - 1}.yaml" if number else "offline"
        (tmp_path / f"p{number}.yaml").write_text(
            f"extends: {base}\ngateway: {{host_port: {9000 + number}}}\n"
        )
    assert load(str(tmp_path / "p39.yaml"), FOLDER).gateway.host_port == 9039


def test_a_circle_through_a_link_is_one(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    with pytest.raises(DevenvError, match="circle"):
        load(str(tmp_path / "a.yaml"), FOLDER)


@pytest.mark.parametrize("name", ["mine.yml", "mine.conf", "mine.v2", "mine"])
def test_a_profile_s_file_may_have_any_ending(tmp_path, name):
    (tmp_path / name).write_text("extends: offline\nname: mine\n")
    assert check(str(tmp_path / name), FOLDER).name == "mine"


def test_an_error_in_a_file_that_is_extended_is_told_with_that_file(tmp_path):
    (tmp_path / "base.yaml").write_text("extends: offline\ngateway: {host_port: 99999}\n")
    (line,) = why(tmp_path, "extends: base.yaml\nname: mine\n")
    assert line.startswith(f"{tmp_path}/base.yaml:2: gateway.host_port: ")


def test_very_many_unknown_keys_are_told_in_few_lines(tmp_path):
    lines = why(tmp_path, "extends: offline\n" + "".join(f"key{n}: 1\n" for n in range(10_000)))
    assert len(lines) < 30


@pytest.mark.parametrize("part", ["versions", "options"])
def test_a_version_whose_name_is_a_number_is_told_with_its_line(tmp_path, part):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: offline\nname: mine\n{part}:\n  1.10: {{keep_newer: 1}}\n")
    for call in (load, check):
        with pytest.raises(DevenvError) as error:
            call(str(path), data.root() / "profiles")
        assert error.value.exit_code == Exit.USAGE
        assert f"{path}:3: {part}.1.1" in error.value.why


@pytest.mark.parametrize(
    "entry",
    ["images: [{name: redis, recipe: rediss}]", "manifests: [{name: x, recipe: ../../etc/passwd}]"],
)
def test_a_recipe_that_is_not_there_is_told_with_its_line(tmp_path, entry):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: offline\nname: mine\n{entry}\n")
    with pytest.raises(DevenvError) as error:
        check(str(path), data.root() / "profiles")
    assert error.value.exit_code == Exit.USAGE
    assert f"{path}:3" in error.value.why


def test_a_duplicate_key_hides_no_other_error(tmp_path):
    lines = why(
        tmp_path,
        "extends: offline\nname: mine\nname: other\nwrong: 1\ngateway: {host_port: true, host_port: 1}\n",
    )
    places = [line.partition(": ")[0].rpartition(":")[2] for line in lines]
    assert places == ["3", "4", "5"]


def test_a_profile_with_a_duplicate_key_is_not_used(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: offline\nname: mine\nname: other\n")
    with pytest.raises(DevenvError) as caught:
        load(str(tmp_path / "mine.yaml"), FOLDER)
    assert (caught.value.exit_code, "mine.yaml:3: name" in caught.value.why) == (Exit.USAGE, True)


# The profile `offline` has the limits of AIBrix's own manifests (docs/facts/aibrix.md).


def offline_objects(kind):
    files = (data.root() / "manifests" / "offline").glob("*.yaml")
    documents = [d for file in sorted(files) for d in yaml.safe_load_all(file.read_text())]
    return [d for d in documents if d["kind"] == kind]


def test_a_request_may_have_a_body_of_4_mib():
    (policy,) = offline_objects("ClientTrafficPolicy")
    assert policy["spec"]["connection"]["bufferLimit"] == 4 << 20
    (target,) = policy["spec"]["targetRefs"]
    assert (target["kind"], target["name"]) == ("Gateway", "aibrix-eg")


def test_an_answer_may_take_120_s_on_each_route():
    model_routes = [
        r for r in offline_objects("HTTPRoute") if r["metadata"]["name"].startswith("llama2")
    ]
    assert [r["spec"]["rules"][0]["timeouts"] for r in model_routes] == [{"request": "120s"}]
    (patches,) = [p["spec"]["jsonPatches"] for p in offline_objects("EnvoyPatchPolicy")]
    assert patches[0]["operation"]["value"]["route"]["timeout"] == "120s"


def test_the_plugin_may_take_60_s_for_each_of_its_answers():
    (policy,) = offline_objects("EnvoyExtensionPolicy")
    assert [p["messageTimeout"] for p in policy["spec"]["extProc"]] == ["60s"]
