"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.models.model import ListedModel, PodCount
from devenv.ui import models
from tests.unit.ui.proofs import PROOF, PROOF_JSON


def test_shapes_of_models():
    seen = ListedModel(
        "m",
        PodCount(1, 2),
        ("default/m",),
        "accepted",
        "default/m",
        (PROOF,),
        is_added_by_devenv=True,
    )
    assert models.model_shape(seen) == {
        "name": "m", "pods": {"ready": 1, "all": 2}, "workloads": ["default/m"], "route": "accepted", "service": "default/m",
        "added_by_devenv": True, "requests": [PROOF_JSON],
    }  # fmt: skip
