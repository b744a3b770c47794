from devenv.facts.trim import config_map, only_metadata, revision, trimmed


def test_values_of_variables_and_annotations_are_left_out():
    variables = [
        {"name": "API_KEY", "value": "hush"},
        {"name": "DEPTH", "value": "hush"},
        {"name": "POD", "valueFrom": {"x": "y"}},
    ]
    container = {"name": "c", "image": "i", "env": variables, "volumeMounts": [{"name": "v"}]}
    pod = {
        "metadata": {
            "name": "p",
            "namespace": "n",
            "annotations": {"a": "hush"},
            "managedFields": [{"x": "hush"}],
        },
        "spec": {
            "containers": [container],
            "volumes": [{"name": "v", "csi": {"volumeAttributes": {"password": "hush"}}}],
        },
        "status": {"phase": "Running"},
    }
    told = trimmed(pod)
    assert "hush" not in str(told)
    secret, plain, other = told["spec"]["containers"][0]["env"]
    assert (secret, other) == ({"name": "API_KEY"}, {"name": "POD"})
    assert plain.keys() == {"name", "mark"}, "so that two looks can be compared"
    assert told["status"] == {"phase": "Running"}


def test_a_deployment_keeps_its_selector_and_its_pods_labels():
    labels = {"app": "x"}
    template = {
        "metadata": {"labels": labels, "annotations": {"a": "hush"}},
        "spec": {"containers": []},
    }
    told = trimmed(
        {
            "metadata": {"name": "d"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    assert told["spec"]["replicas"] == 2
    assert told["spec"]["template"]["metadata"] == {"labels": labels}


def test_only_envoy_gateways_own_settings_are_read():
    assert "data" not in trimmed({"metadata": {"name": "other"}, "data": {"password": "hush"}})
    assert trimmed({"metadata": {"name": "envoy-gateway-config"}, "data": {"a": "b"}})["data"] == {
        "a": "b"
    }


def test_of_revisions_the_number_and_the_owner_are_kept_and_no_template():
    owner = [{"kind": "Deployment", "name": "d"}]
    meta = {
        "name": "d-1",
        "annotations": {"deployment.kubernetes.io/revision": "3", "a": "hush"},
        "ownerReferences": owner,
    }
    told = revision(
        {"metadata": meta, "revision": 4, "data": {"a": "hush"}, "spec": {"template": "hush"}}
    )
    assert told["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "3"}
    assert (told["metadata"]["ownerReferences"], told["revision"]) == (owner, 4)
    assert "hush" not in str(told)


def test_of_what_a_pod_needs_names_and_keys_are_kept():
    variables = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]
    sources = [{"secret": {"name": "p", "optional": True}}, {"serviceAccountToken": {}}]
    volumes = [
        {"name": "v", "secret": {"secretName": "s", "items": [{"key": "one"}, {"key": "two"}]}},
        {"name": "w", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "x", "projected": {"sources": sources}},
        {"name": "y", "emptyDir": {}},
    ]
    spec = {
        "containers": [{"name": "c", "env": variables, "envFrom": [{"secretRef": {"name": "e"}}]}],
        "volumes": volumes,
        "imagePullSecrets": [{"name": "r"}],
        "serviceAccountName": "a",
        "priorityClassName": "high",
        "nodeSelector": {"disk": "fast"},
    }
    pod = trimmed({"metadata": {"name": "p"}, "spec": spec})["spec"]
    assert pod["references"] == [
        {"kind": "Secret", "name": "s", "by": "volume v", "key": "one"},
        {"kind": "Secret", "name": "s", "by": "volume v", "key": "two"},
        {"kind": "PersistentVolumeClaim", "name": "c", "by": "volume w"},
        {"kind": "Secret", "name": "p", "by": "volume x", "optional": True},
        {"kind": "ConfigMap", "name": "m", "by": "variable A", "key": "k"},
        {"kind": "Secret", "name": "e", "by": "envFrom"},
        {"kind": "Secret", "name": "r", "by": "imagePullSecrets"},
        {"kind": "ServiceAccount", "name": "a", "by": "serviceAccountName"},
        {"kind": "PriorityClass", "name": "high", "by": "priorityClassName"},
    ]
    assert (pod["priorityClassName"], pod["nodeSelector"]) == ("high", {"disk": "fast"})


def test_of_a_config_map_the_keys_are_kept_and_of_a_secret_only_its_metadata():
    metadata = {"name": "x", "finalizers": ["f"]}
    content = {"metadata": metadata, "data": {"b": "hush"}, "binaryData": {"a": "hush"}}
    assert config_map(content) == {"metadata": metadata, "keys": ["a", "b"]}
    assert only_metadata(content) == {"metadata": metadata}
