import pytest

from tests.unit.models.annotated import serve_by_pod


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_a_storm_service_gets_a_request_by_its_only_route(models, fakes):
    serve_by_pod(
        fakes, "pd-model", labels={"storm-service-name": "pd", "model.aibrix.ai/name": "pd-model"}
    )
    (listed,) = models.list_all()
    assert (listed.name, listed.answers) == ("pd-model", True)
    assert [p.route for p in listed.proofs] == ["extension"]
