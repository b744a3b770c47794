"""How each command's help ends: examples, and the page of the guide that says more.

They are here and not beside each command, so that they can be read, and tried, side by side.
"""

from dataclasses import dataclass

# Where the guide is in devenv's repository.
GUIDE = "docs/guide"


@dataclass(frozen=True)
class Examples:
    """A command's examples, without the program's name, and its page."""

    page: str
    commands: tuple[str, ...]


EXAMPLES = {
    "setup": Examples("start.md", ("setup", "setup --yes")),
    "up": Examples(
        "start.md", ("up", "up --profile offline", "up --name other --profile other.yaml")
    ),
    "status": Examples("clusters.md", ("status", "status --watch", "status -o json")),
    "doctor": Examples(
        "doctor.md", ("doctor", "doctor --explain DE401", "doctor -o html --to page.html")
    ),
    "recover": Examples("doctor.md", ("recover --dry-run", "recover")),
    "reload-image": Examples(
        "reload.md",
        (
            "reload-image aibrix/gateway-plugins:nightly",
            "reload-image gateway-plugins --build",
            "reload-image gateway-plugins --undo",
        ),
    ),
    "restart": Examples("doctor.md", ("restart", "restart redis gateway-plugins")),
    "logs": Examples(
        "reference.md", ("logs --problems", "logs gateway-plugins --follow", "logs redis --tail 20")
    ),
    "bugreport": Examples("doctor.md", ("bugreport", "bugreport --to report.tar.gz")),
    "request": Examples(
        "requests.md",
        (
            'request "Who are you?"',
            "request --route direct --model llama2-7b --stream",
            "request --for 30s --concurrency 4",
        ),
    ),
    "test-e2e": Examples("../aibrix-tests.md", ("test-e2e", "test-e2e --run TestStrategyRandom")),
    "model": Examples("models.md", ("model list", "model add qwen3-8b")),
    "model add": Examples(
        "models.md", ("model add qwen3-8b", "model add qwen3-8b --mock --replicas 2")
    ),
    "model list": Examples("models.md", ("model list", "model list -o json")),
    "model rm": Examples("models.md", ("model rm qwen3-8b --dry-run", "model rm qwen3-8b --yes")),
    "exec": Examples(
        "clusters.md",
        (
            "exec redis -- redis-cli ping",
            "exec gateway-plugins",
            "exec gateway-plugins -- ls /proc/1/root",
        ),
    ),
    "kubectl": Examples(
        "clusters.md",
        (
            "kubectl get pods -A",
            "kubectl -n aibrix-system logs deploy/aibrix-gateway-plugins",
            "kubectl apply -f - < my.yaml",
        ),
    ),
    "kubeconfig": Examples("clusters.md", ("kubeconfig > cluster.yaml", "kubeconfig --path")),
    "list": Examples("clusters.md", ("list", "list -o json")),
    "version": Examples("reference.md", ("version", "version -o json")),
    "disk": Examples("disk.md", ("disk", "disk --all")),
    "prune": Examples("disk.md", ("prune --dry-run", "prune --free 5Gi", "prune --history")),
    "schedule": Examples("disk.md", ("schedule install", "schedule status")),
    "schedule install": Examples(
        "disk.md", ("schedule install", "schedule install --at 12:30 --weekdays --recover")
    ),
    "schedule status": Examples("disk.md", ("schedule status", "schedule status -o json")),
    "schedule remove": Examples("disk.md", ("schedule remove", "schedule remove -o json")),
    "schedule run": Examples("disk.md", ("schedule run", "schedule run -o json")),
    "stop": Examples("clusters.md", ("stop", "stop --name other")),
    "down": Examples("clusters.md", ("down", "down --name other", "down --purge --dry-run")),
    "profile": Examples("profiles.md", ("profile list", "profile init mine.yaml")),
    "profile list": Examples("profiles.md", ("profile list", "profile list -o json")),
    "profile show": Examples(
        "profiles.md", ("profile show offline", "profile show aibrix --rendered")
    ),
    "profile validate": Examples(
        "profiles.md", ("profile validate offline", "profile validate ./mine.yaml")
    ),
    "profile schema": Examples(
        "profiles.md", ("profile schema", "profile schema > profile.schema.json")
    ),
    "profile init": Examples(
        "profiles.md",
        ("profile init mine.yaml", "profile init mine.yaml --extends aibrix --host-port 9000"),
    ),
    "config": Examples("reference.md", ("config view", "config view -o json")),
    "config view": Examples("reference.md", ("config view", "config view -n other -o json")),
    "completion": Examples(
        "reference.md", ("completion bash --install", "completion zsh > _devenv")
    ),
    "images": Examples("reload.md", ("images list", "images build vllm-mock")),
    "images list": Examples("reload.md", ("images list", "images list -o json")),
    "images build": Examples("reload.md", ("images build --dry-run", "images build vllm-mock")),
}


def epilog(path: str) -> str:
    """Return the end of a command's help, "" if it has no examples."""
    if path not in EXAMPLES:
        return ""
    examples = EXAMPLES[path]
    lines = [f"  devenv {command}" for command in examples.commands]
    # Click joins the lines of a paragraph unless this comes first.
    listing = "\n".join(["\b", "Examples:", *lines])
    return f"{listing}\n\nGuide: {GUIDE}/{examples.page}"
