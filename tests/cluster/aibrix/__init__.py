"""A checkout in the shape of AIBrix's, with stand-ins for its programs; a release's files are rendered from it."""

import shutil
import subprocess
from pathlib import Path

import yaml

from devenv import data

HERE = Path(__file__).parent
IMAGES = {
    "controller-manager": "manager",
    "gateway-plugins": "gateway-plugin",
    "metadata-service": "metadata-service",
}


def checkout(folder: Path) -> Path:
    """Make the checkout, and return it."""
    plugins = data.root() / "images" / "gateway-plugins"
    shutil.copytree(HERE / "config", folder / "config")
    for package, source in (
        ("controllers", HERE / "controllers"),
        ("metadata", HERE / "metadata"),
        ("plugins", plugins),
    ):
        (folder / "cmd" / package).mkdir(parents=True)
        shutil.copy(source / "main.go", folder / "cmd" / package / "main.go")
    shutil.copytree(HERE / "e2e", folder / "test" / "e2e")
    module = (
        (plugins / "go.mod")
        .read_text()
        .replace(
            "module aibrix-devenv/images/gateway-plugins", "module github.com/vllm-project/aibrix"
        )
    )
    (folder / "go.mod").write_text(module)
    shutil.copy(plugins / "go.sum", folder / "go.sum")
    return folder


def overrides(tag: str) -> str:
    """A profile's part by which images have names of the test's own: the user may have AIBrix's."""
    images = "\n".join(
        f"  - {{name: {name}, ref: 'devenv-test/{name}:{tag}'}}"
        for name in IMAGES
        if name != "metadata-service"
    )
    patches = "\n".join(
        f"  - name: {patch}\n    merge: {{spec: {{template: {{spec: {{containers: [{{name: {container}, image: 'devenv-test/{name}:{tag}'}}]}}}}}}}}"
        for patch, name, container in (
            ("controller-image", "controller-manager", "manager"),
            ("plugins-image", "gateway-plugins", "gateway-plugin"),
            ("metadata-image", "metadata-service", "metadata-service"),
        )
    )
    metadata = f"  - {{name: metadata-service, ref: 'devenv-test/metadata-service:{tag}', go: {{package: ./cmd/metadata, entrypoint: /metadata-service}}}}"
    return f"images:\n{images}\n{metadata}\npatches:\n{patches}\n"


def tests(engine: int, gateway: int) -> str:
    """A profile's part by which `test-e2e` runs the checkout's tests, with these ports of this machine."""
    forwards = f"[{{port: {engine}, namespace: default, service: llama2-7b, target: 8000}}, {{port: {gateway}}}]"
    environment = f"{{E2E_ENGINE: '{engine}', E2E_GATEWAY: '{gateway}'}}"
    return f"tests:\n  package: ./test/e2e/\n  environment: {environment}\n  forwards: {forwards}\n"


def rendered(folder: Path) -> str:
    """Return what kustomize makes of one of the checkout's folders."""
    program = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    return subprocess.run(
        [*program, str(folder)], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def early(core: str, crds: str) -> str:
    """Return a release in the shape of v0.4.1's: definitions in the core, another route's name, webhooks that must answer."""
    documents = [d for d in yaml.safe_load_all(core) if d]
    for document in documents:
        name = document["metadata"]["name"]
        document["metadata"]["name"] = name.replace("metadata-endpoint", "models-endpoint")
        if name == "aibrix-skip-ext-proc":
            document["spec"]["targetRef"]["name"] = "aibrix-reserved-router-models-endpoint"
        if name == "aibrix-controller-manager" and document["kind"] == "Deployment":
            document["spec"]["template"]["spec"]["containers"][0]["env"] = [
                {"name": "NEEDS_RAY", "value": "1"},
                {"name": "BY_LABEL_ALONE", "value": "1"},
            ]
        for hook in document.get("webhooks", ()):
            hook["failurePolicy"] = "Fail"
        if document["kind"] == "MutatingWebhookConfiguration":
            document["webhooks"][0]["rules"][0] |= {
                "apiGroups": ["model.aibrix.ai"],
                "apiVersions": ["v1alpha1"],
                "resources": ["modeladapters"],
            }
    return yaml.safe_dump_all([*yaml.safe_load_all(crds), *documents])
