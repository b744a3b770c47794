"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.images.recipes.listing import Entry
from devenv.ui import catalogue


def test_shape_of_images():
    entry = Entry("kube", "v1", "d", "key", "devenv.local/kube:key", built=True, size=5, seconds=9)
    assert catalogue.images([entry]).content() == [
        {
            "name": "kube",
            "version": "v1",
            "key": "key",
            "ref": "devenv.local/kube:key",
            "built": True,
            "size": 5,
            "seconds": 9,
        }
    ]
