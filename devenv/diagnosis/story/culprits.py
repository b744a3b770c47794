"""Which object a message of Kubernetes' blames. The forms are those of Kubernetes 1.29 to 1.35."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from devenv.diagnosis import keys
from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Subject
from devenv.diagnosis.read import WEBHOOK_KINDS
from devenv.facts.model import Facts
from devenv.facts.objects import Fields, fields_of, items_of, name_of

# Kinds without a namespace that a message can blame.
_CLUSTERED = {
    "Namespace",
    "Node",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    *WEBHOOK_KINDS,
}
_ABSENT = "does not exist"
QUOTA = "ResourceQuota"
# A word of a quota's refusal, such as limits.cpu or count/jobs.batch, and its limit, if it is told.
_RESOURCE = re.compile(r"(\w[\w./-]*\w)(?:=([\w.]+))?")
_LIMITED = "limited: "
# The kind of a culprit of which only a webhook's name is known, not its configuration.
WEBHOOK = "webhook"


@dataclass(frozen=True)
class Culprit:
    """An object that keeps others from what they should be, and what is wrong with it."""

    kind: str
    # "" for an object of the whole cluster.
    namespace: str
    name: str
    # What follows its name in a sentence.
    trouble: str
    # The key that it lacks.
    lacks: str = ""

    @property
    def full_name(self) -> str:
        """NAMESPACE/NAME, or NAME."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def key(self) -> Key:
        """The key of findings about it."""
        if self.kind == "Node":
            return keys.node(self.name)
        return keys.object_of(self.kind, self.full_name)

    @property
    def subject(self) -> Subject:
        """The subject of findings about it."""
        if self.kind == "Node":
            return Subject("node", self.name)
        return Subject(self.kind, self.full_name)

    @property
    def is_missing(self) -> bool:
        """Whether it is said not to exist."""
        return self.trouble == _ABSENT

    def is_still_wrong(self, facts: Facts) -> bool:
        """Whether nothing in the facts contradicts what is said of it.

        The facts may show that it, or its key, exists, or that a quota has other limits.
        """
        if self.kind not in facts.objects or not facts.knows(self.kind):
            return True
        obj = facts.one(self.kind, self.namespace, self.name)
        if self.kind == QUOTA:
            return bool(limits_in_force(obj, self.trouble))
        if self.is_missing:
            return obj is None
        if not self.lacks or obj is None or "keys" not in obj:
            return True
        return self.lacks not in items_of(obj, "keys")


def limits_in_force(quota: Fields | None, refusal: str) -> list[str]:
    """Return those limits of a quota that a refusal names and that the quota still has.

    `refusal`: in brackets "…, limited: RESOURCE=QUANTITY", or what pods must specify.
    """
    hard = fields_of((quota or {}).get("spec"), "hard")
    _, _, detail = refusal.partition("(")
    _, _, limited = detail.rpartition(_LIMITED)
    told_limits: dict[str, str] = dict(_RESOURCE.findall(limited))
    return [
        resource
        for resource, limit in hard.items()
        if resource in told_limits and told_limits[resource] in {"", str(limit)}
    ]


def missing(kind: str, namespace: str, name: str) -> Culprit:
    """Return an object that does not exist."""
    return Culprit(kind, "" if kind in _CLUSTERED else namespace, name, _ABSENT)


def culprit_in(facts: Facts, message: str, namespace: str) -> Culprit | None:
    """Return the object that a message blames, None if it names none.

    `namespace` is that of the object that the message is about.
    """
    for pattern, build in _FORMS:
        if match := pattern.search(message):
            return build(facts, match, namespace)
    return None


# Forms of messages


_Build = Callable[[Facts, re.Match[str], str], Culprit]


def _missing_one(kind: str) -> _Build:
    def build(_: Facts, match: re.Match[str], namespace: str) -> Culprit:
        return missing(kind, namespace, match["name"])

    return build


def _lacking_key(_: Facts, match: re.Match[str], namespace: str) -> Culprit:
    key = match["key"]
    place, _separator, name = match["full"].rpartition("/")
    return Culprit(match["kind"], place or namespace, name, f"has no key {key}", lacks=key)


def _exhausted_quota(_: Facts, match: re.Match[str], namespace: str) -> Culprit:
    detail = " ".join(match["detail"].split()).rstrip(".")
    return Culprit(QUOTA, namespace, match["name"], f"allows no more ({detail})")


def _demanding_quota(_: Facts, match: re.Match[str], namespace: str) -> Culprit:
    detail = match["detail"].strip().rstrip(".")
    return Culprit(QUOTA, namespace, match["name"], f"refuses pods ({detail})")


def _strict_namespace(_: Facts, match: re.Match[str], namespace: str) -> Culprit:
    level = match["level"]
    return Culprit("Namespace", "", namespace, f"refuses pods that violate PodSecurity {level}")


def _refusing_webhook(facts: Facts, match: re.Match[str], _: str) -> Culprit:
    hook = match["name"]
    kind, name = _configuration_of(facts, hook)
    return Culprit(kind, "", name, f"refuses it by its webhook {hook}")


def _silent_webhook(facts: Facts, match: re.Match[str], _: str) -> Culprit:
    hook = match["name"]
    kind, name = _configuration_of(facts, hook)
    return Culprit(kind, "", name, f"has a webhook that does not answer, {hook}")


def _configuration_of(facts: Facts, hook: str) -> tuple[str, str]:
    """Return kind and name of the configuration that has a hook."""
    for kind in WEBHOOK_KINDS:
        for configuration in facts.of(kind):
            if hook in _hook_names(items_of(configuration, "webhooks")):
                return kind, name_of(configuration)
    return WEBHOOK, hook


def _hook_names(hooks: Iterable[Fields]) -> list[str]:
    return [str(hook.get("name")) for hook in hooks]


def _refusing_policy(_: Facts, match: re.Match[str], __: str) -> Culprit:
    return Culprit("ValidatingAdmissionPolicy", "", match["name"], "refuses it")


_FORMS: tuple[tuple[re.Pattern[str], _Build], ...] = tuple(
    (re.compile(pattern, re.DOTALL), build)
    for pattern, build in (
        (r'\bsecrets? "(?P<name>[^"]+)" not found', _missing_one("Secret")),
        (r'\bconfigmaps? "(?P<name>[^"]+)" not found', _missing_one("ConfigMap")),
        (
            r"couldn't find key (?P<key>\S+) in (?P<kind>ConfigMap|Secret) (?P<full>[\w./-]*\w)",
            _lacking_key,
        ),
        (
            r'\bpersistentvolumeclaim "(?P<name>[^"]+)" not found',
            _missing_one("PersistentVolumeClaim"),
        ),
        (r"exceeded quota: (?P<name>[^,\s]+), (?P<detail>.+)", _exhausted_quota),
        (r"failed quota: (?P<name>[^:\s]+): (?P<detail>.+)", _demanding_quota),
        (r'\bserviceaccounts? "(?P<name>[^"]+)" not found', _missing_one("ServiceAccount")),
        (r"no PriorityClass with name (?P<name>\S+) was found", _missing_one("PriorityClass")),
        (r'\bRuntimeClass "(?P<name>[^"]+)" not found', _missing_one("RuntimeClass")),
        (r'storageclass\S* "(?P<name>[^"]+)" not found', _missing_one("StorageClass")),
        (r'violates PodSecurity "(?P<level>[^"]+)"', _strict_namespace),
        (r"ValidatingAdmissionPolicy '(?P<name>[^']+)'", _refusing_policy),
        (r'admission webhook "(?P<name>[^"]+)" denied', _refusing_webhook),
        (r'failed calling webhook "(?P<name>[^"]+)"', _silent_webhook),
    )
)
