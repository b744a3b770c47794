from contextlib import suppress

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.models.model import NewModel


def test_only_objects_that_devenv_added_are_removed(models, fakes):
    with suppress(DevenvError):
        models.add(NewModel("Other_1"))
    fakes.kube.apply(
        {
            "kind": "Deployment",
            "metadata": {"name": "theirs", "namespace": "default", "annotations": {}},
            "spec": {},
        }
    )
    objects = models.objects("Other_1")
    assert [o["kind"] for o in objects] == ["Deployment", "Service", "HTTPRoute"]
    models.remove("Other_1", objects)
    assert ("Deployment", "default", "theirs") in fakes.kube.objects
    with pytest.raises(DevenvError, match="theirs") as refused:
        models.objects("theirs")
    assert refused.value.exit_code is Exit.USAGE
