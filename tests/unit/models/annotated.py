"""A model whose name only an annotation can hold, and its objects."""

QWEN = "Qwen/Qwen2.5-7B"
# As main's controller names it (docs/facts/aibrix.md).
QWEN_ROUTE = "qwen-qwen2-5-7b-401a4b448e74-router"


def route_for(model, name, *, made_by_devenv=False):
    match = {"headers": [{"name": "model", "value": model}]}
    meta = {
        "name": name,
        "namespace": "aibrix-system",
        "annotations": {"devenv/model": model} if made_by_devenv else {},
    }
    return {"kind": "HTTPRoute", "metadata": meta, "spec": {"rules": [{"matches": [match]}]}}


def serve_by_pod(fakes, model, **meta):
    """Make the fake's only pod one of the model."""
    annotations = {"model.aibrix.ai/name": model}
    meta = {"name": "mock-1", "namespace": "default", "annotations": annotations, **meta}
    conditions = [{"type": "Ready", "status": "True"}]
    pod = {"metadata": meta, "status": {"podIP": "10.0.0.1", "conditions": conditions}}
    select = fakes.kube.select

    def select_with_pod(version, kind, namespace="", selector=""):
        if kind == "Pod" and "owning-gateway" not in selector:
            assert "/Qwen" not in selector, "the API server refuses it"
            return [pod]
        return select(version, kind, namespace, selector)

    fakes.kube.select = select_with_pod
