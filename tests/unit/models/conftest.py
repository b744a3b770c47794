import pytest

from devenv import data
from devenv.gates.live import Prober
from devenv.models.models import Models
from devenv.profiles.load import load
from devenv.profiles.variant import Variant

FOLDER = data.root() / "profiles"


@pytest.fixture(params=["offline", "aibrix"])
def profile(request):
    if request.param == "main":
        return load("aibrix", FOLDER, Variant(checkout="/source"))
    return load(request.param, FOLDER)


@pytest.fixture
def models(fakes, profile):
    fakes.kube.up = True
    fakes.kube.objects["Namespace", "", "default"] = {"metadata": {"name": "default"}}
    prober = Prober(fakes.kube, fakes.gateway, fakes.clock, profile)
    return Models(fakes.session("c", profile), lambda: prober)
