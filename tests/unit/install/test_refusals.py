"""Patched objects that the API server would refuse are known before anything is applied."""

import itertools

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.install.manifests import Patched, Rendered
from devenv.install.refusals import Refusals

SCHEMA = {
    "type": "object", "required": ["spec"],
    "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1}, "mode": {"type": "string", "enum": ["fast", "slow"]},
        "names": {"type": "array", "items": {"type": "string"}}, "port": {"x-kubernetes-int-or-string": True},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    }}},
}  # fmt: skip
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.x.y"},
    "spec": {"group": "x.y", "names": {"kind": "Thing"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": SCHEMA}}]},
}  # fmt: skip
GOOD = {
    "size": 2,
    "mode": "fast",
    "names": ["a"],
    "port": "http",
    "open": {"any": 1},
    "labels": {"a": "b"},
}


class Schemas:
    def __init__(self, *problems: str) -> None:
        self.told = problems

    def problems(self, manifest) -> list[str]:
        return [p for p in self.told if manifest["spec"] != GOOD]


def thing(spec, kind: str = "Thing") -> dict:
    return {
        "apiVersion": "x.y/v1",
        "kind": kind,
        "metadata": {"name": "t", "namespace": "n"},
        "spec": spec,
    }


def check(before, after, *, kube=None, kind: str = "Thing", schemas: Schemas | None = None) -> str:
    """Return what is refused, "" where nothing is."""
    patched = Patched("p", thing(before, kind), thing(after, kind))
    rendered = Rendered({"source": (DEFINITION, thing(after, kind))}, (patched,))
    refusal: DevenvError | None = None
    try:
        Refusals(schemas or Schemas()).check(rendered, kube)
    except DevenvError as error:
        refusal = error
    assert refusal is None or refusal.exit_code == Exit.USAGE
    return refusal.why if refusal else ""


def test_what_fits_its_definition_is_taken():
    assert check(GOOD, {**GOOD, "size": 3}) == ""


@pytest.mark.parametrize(("change", "field"), [
    ({"size": "3"}, "spec.size"), ({"size": 0}, "spec.size"), ({"size": True}, "spec.size"), ({"mode": "fats"}, "spec.mode"),
    ({"names": "a"}, "spec.names"), ({"names": [1]}, "spec.names.0"), ({"port": []}, "spec.port"), ({"sise": 1}, "spec.sise"),
    ({"labels": {"a": 1}}, "spec.labels.a"),
])  # fmt: skip
def test_what_does_not_fit_is_told_with_the_patch_and_the_field(change, field):
    (line,) = check(GOOD, {**GOOD, **change}).splitlines()
    assert line.startswith(f"patches.p: Thing n/t: {field}: ")


def test_a_field_that_a_patch_took_away_is_told():
    assert "spec.size" in check(GOOD, {k: v for k, v in GOOD.items() if k != "size"})


def test_what_was_odd_before_the_patch_is_not_the_patch_s():
    assert check({**GOOD, "sise": 1}, {**GOOD, "sise": 1, "size": 3}) == ""


def test_other_kinds_are_judged_by_kubernetes_own_shapes():
    assert "x: odd" in check(GOOD, {}, kind="Service", schemas=Schemas("x: odd"))


def test_the_api_server_that_runs_is_asked(fakes):
    assert check(GOOD, {**GOOD, "size": 3}, kube=fakes.kube) == ""
    fakes.kube.refusals["t"] = "spec.size: invalid"
    assert "spec.size: invalid" in check(GOOD, {**GOOD, "size": 3}, kube=fakes.kube)


def test_of_several_patches_the_one_that_did_it_is_named():
    steps = [
        thing(GOOD),
        thing({**GOOD, "size": 3}),
        thing({**GOOD, "sise": 1}),
        thing({**GOOD, "sise": 1, "mode": "slow"}),
    ]
    patched = tuple(
        Patched(name, *pair) for name, pair in zip("abc", itertools.pairwise(steps), strict=True)
    )
    with pytest.raises(DevenvError) as caught:
        Refusals(Schemas()).check(Rendered({"source": (DEFINITION,)}, patched), None)
    assert caught.value.why.startswith("patches.b: Thing n/t: spec.sise: ")


def test_what_a_later_patch_mends_is_no_fault():
    patched = (
        Patched("a", thing(GOOD), thing({**GOOD, "sise": 1})),
        Patched("b", thing({**GOOD, "sise": 1}), thing(GOOD)),
    )
    Refusals(Schemas()).check(Rendered({"source": (DEFINITION,)}, patched), None)
