import pytest

from devenv.facts.mock import is_mock

MOCK, REAL = "devenv.local/vllm-mock:reference", "vllm/vllm-openai:v0.10"


def pod(*images):
    return {"spec": {"containers": [{"image": image} for image in images]}}


@pytest.mark.parametrize(
    ("pods", "mocks"),
    [
        ([pod(MOCK), pod("devenv.local/vllm-mock:mine")], True),
        ([pod("sidecar:1", MOCK)], True),
        ([pod(MOCK), pod(REAL)], False),
        ([pod("docker.io/aibrix/vllm-mock:nightly")], False),
        ([{"metadata": {"name": "no spec"}}], False),
        ([], False),
    ],
)
def test_a_model_is_a_mock_if_all_of_its_pods_are(pods, mocks):
    assert is_mock(pods) == mocks
