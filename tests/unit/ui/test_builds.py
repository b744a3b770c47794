"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.images.recipes.build_plan import BuildPlan, Piece
from devenv.ui.builds import build_shape

PLAN = BuildPlan((Piece("kube", "kubelet", "go", 60, 100), Piece("redis", "", "engine", 10, 11)))


def test_shape_of_images_build():
    assert build_shape(PLAN, dry_run=True) == {
        "dry_run": True,
        "pieces": [
            {"name": "kube/kubelet", "recipe": "kube", "file": "kubelet"},
            {"name": "redis", "recipe": "redis", "file": ""},
        ],
        "seconds": PLAN.seconds,
        "disk": 111,
    }
