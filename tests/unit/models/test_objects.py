from devenv.models.model import NewModel
from devenv.models.objects import route_and_grant


def test_the_route_has_the_timeout_of_aibrix():
    route, _ = route_and_grant(NewModel("m"), "aibrix-eg", "aibrix-system")
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "120s"}
