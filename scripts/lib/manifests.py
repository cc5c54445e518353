"""Checks built manifests: manifests.py WARMGATE BUILT TREE.

BUILT holds NAME.yaml, and NAME.pages with the README files (below TREE) whose "Kubernetes 1.x or newer" holds for it.
"""

import copy
import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import yaml

# What came with a version, by default switched on (kubernetes.io, feature gates): schemas have some of it earlier.
SINCE = {
    "native sidecar": 29,
    "sleep hook": 30,
    "gRPC probe": 27,
    "unhealthyPodEvictionPolicy": 27,
}
VERSIONS = sorted(int(version.split(".")[1]) for version in kubernetes_validate.utils.all_versions())
# Custom resources, whose schemas are with those who made them.
WITHOUT_SCHEMA = {"BackendConfig", "ServiceMonitor", "PodMonitor", "PrometheusRule"}

HOOKS = ("postStart", "preStop")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def pod_spec(document):
    return document.get("spec", {}).get("template", {}).get("spec") or {}


def containers(pod):
    return (pod.get("initContainers") or []) + pod.get("containers", [])


def features(document):
    pod = pod_spec(document)
    if any(c.get("restartPolicy") for c in pod.get("initContainers") or []):
        yield "native sidecar"
    for container in containers(pod):
        if any("sleep" in (container.get("lifecycle", {}).get(hook) or {}) for hook in HOOKS):
            yield "sleep hook"
        if any("grpc" in container.get(probe, {}) for probe in PROBES):
            yield "gRPC probe"
    if "unhealthyPodEvictionPolicy" in document.get("spec", {}):
        yield "unhealthyPodEvictionPolicy"


def schema_faults(document, minor):
    try:
        kubernetes_validate.validate(document, f"1.{minor}", strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(str(part) for part in error.path)
        yield f"1.{minor}: {where}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield error.message


def loose_ends(document):
    """What the schema cannot see: names that lead nowhere."""
    pod = pod_spec(document)
    volumes = {volume["name"] for volume in pod.get("volumes") or []}
    names = [container["name"] for container in containers(pod)]
    ports = [port for container in containers(pod) for port in container.get("ports", [])]
    for what, values in (
        ("containers", names),
        ("names of ports", [port["name"] for port in ports if "name" in port]),
        ("ports", [port["containerPort"] for port in ports]),
    ):
        yield from (f"two {what} {value}" for value in sorted(set(values)) if values.count(value) > 1)
    for container in containers(pod):
        name = container["name"]
        if "image" not in container:
            yield f"container {name} has no image: is that the name of the application's container?"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"container {name} mounts {mount['name']}, which is no volume"
        own = {port.get("name") for port in container.get("ports", [])}
        handlers = [container.get(probe, {}) for probe in PROBES]
        handlers += [container.get("lifecycle", {}).get(hook) or {} for hook in HOOKS]
        for handler in handlers:
            port = (handler.get("httpGet") or {}).get("port")
            if isinstance(port, str) and port not in own:
                yield f"container {name} is asked on port {port}, which it does not have"
            kinds = {"httpGet", "exec", "sleep", "grpc", "tcpSocket"} & set(handler)
            if len(kinds) > 1:
                yield f"container {name} has a hook or probe of two kinds: {', '.join(sorted(kinds))}"
        for variable in container.get("env", []):
            if "value" in variable and "valueFrom" in variable:
                yield f"container {name}: {variable['name']} has a value and comes from elsewhere"


def sidecars(document):
    return [c for c in containers(pod_spec(document)) if (c.get("args") or [""])[0] == "serve"]


def setting_faults(document, warmgate):
    """What `serve` says to the settings of each sidecar."""
    for container in sidecars(document):
        environment = {
            variable["name"]: variable.get("value", "postgresql://shop@db.example/shop")
            for variable in container.get("env", [])
        }
        answer = subprocess.run(
            [warmgate, *container["args"], "--print-settings"], env=environment, capture_output=True, text=True, timeout=60
        )
        if answer.returncode != 0 or answer.stderr:
            yield f"container {container['name']}: {answer.stderr.strip()}"


def plan_faults(text, documents, warmgate):
    """What `plan -f` finds in each workload that has a sidecar; advice counts as a fault here."""
    for document in documents:
        if not sidecars(document):
            continue
        name = f"{document['kind']}/{document['metadata']['name']}"
        answer = subprocess.run(
            [warmgate, "plan", "-f", "-", "--name", name, "--server-connections", "1000"],
            input=text, capture_output=True, text=True, timeout=60)
        said = [line for line in (answer.stdout + answer.stderr).splitlines() if re.search(r"^stdin:\d+: ", line)]
        if answer.returncode != 0 or said:
            yield "; ".join(said) or (answer.stderr or answer.stdout).strip()


def claimed(page):
    found = re.search(r"Kubernetes\s+1\.(\d+)\s+or\s+newer", page.read_text())
    return int(found.group(1)) if found else None


def faults(name, documents, pages, warmgate):
    used = {feature for document in documents for feature in features(document)}
    needed = max([VERSIONS[0], *(SINCE[feature] for feature in used)])
    for page in pages:
        if claimed(page) is None and used:
            yield f"{page} does not say \"Kubernetes 1.x or newer\""
        elif claimed(page) not in (None, needed):
            yield f"{page} says 1.{claimed(page)}, and it needs 1.{needed} ({', '.join(sorted(used)) or 'nothing new'})"
    for document in documents:
        what = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] not in WITHOUT_SCHEMA:
            for minor in (needed, VERSIONS[-1]):
                yield from (f"{what}: {fault}" for fault in schema_faults(document, minor))
        yield from (f"{what}: {fault}" for fault in loose_ends(document))
        yield from (f"{what}: {fault}" for fault in setting_faults(document, warmgate))


def misspelled(document):
    """The same with a field that nobody knows: if that passes, nothing here was checked."""
    wrong = copy.deepcopy(document)
    container = containers(pod_spec(wrong))[0]
    container["readynessProbe"] = container.pop("readinessProbe")
    return wrong


def main(warmgate, built, tree):
    bad, unchecked = [], set()
    for path in sorted(pathlib.Path(built).glob("*.yaml")):
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
        pages = [pathlib.Path(tree, page) for page in path.with_suffix(".pages").read_text().split()]
        found = list(faults(path.stem, documents, pages, warmgate))
        found += plan_faults(path.read_text(), documents, warmgate)
        bad += [f"{path.stem}: {fault}" for fault in found]
        unchecked |= {document["kind"] for document in documents} & WITHOUT_SCHEMA
        print(f"{'FAULTY' if found else 'valid ':6}  {path.stem}: {len(documents)} resources")
        if path.stem == "k8s-base":
            deployment = next(document for document in documents if document["kind"] == "Deployment")
            if not list(schema_faults(misspelled(deployment), VERSIONS[-1])):
                bad.append("a misspelled field was not noticed")
            for right, wrong in (("GracePeriodSeconds: 60", "GracePeriodSeconds: 10"), ("failureThreshold: 1\n", "failureThreshold: 9\n")):
                changed = path.read_text().replace(right, wrong)
                if not list(plan_faults(changed, documents, warmgate)):
                    bad.append(f"{wrong.strip()} was not noticed")
    if unchecked:
        print(f"no schema for custom resources: {', '.join(sorted(unchecked))} only built")
    for fault in bad:
        print(fault, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
