"""Renders Helm charts and checks manifests against the schemas of Kubernetes.

    tool.py chart DIRECTORY NAME        values as JSON on standard input, YAML out
    tool.py lint DIRECTORY              the messages as JSON
    tool.py check FILE VERSION...       manifests and their faults as JSON
"""

import json
import sys

import helm_python
import kubernetes_validate
import yaml

NAMESPACE = "ftp-helper"


def chart(directory, name):
    values = json.load(sys.stdin)
    with helm_python.Chart.load(directory) as loaded:
        # As `helm template` does before it renders.
        loaded.validate_schema(values)
        rendered = loaded.render(values, name=name, namespace=NAMESPACE)
    for path, text in sorted(rendered.items()):
        if path.endswith(".yaml") and text.strip():
            print(f"---\n# {path}\n{text}")


def lint(directory):
    report = helm_python.lint(directory, strict=True, kube_version="v1.30.0")
    json.dump(report["messages"], sys.stdout)


def check(path, *versions):
    with open(path, encoding="utf-8") as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    faults, unchecked = [], []
    for document in documents:
        what = f"{document['kind']} {document['metadata']['name']}"
        for version in versions:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                unchecked.append(document["kind"])
            except kubernetes_validate.ValidationError as error:
                faults.append(f"{what}, Kubernetes {version}: {error.message}")
    json.dump(
        {"documents": documents, "faults": faults, "unchecked": sorted(set(unchecked))},
        sys.stdout,
    )


try:
    {"chart": chart, "lint": lint, "check": check}[sys.argv[1]](*sys.argv[2:])
except helm_python.HelmError as error:
    sys.exit(f"{type(error).__name__}: {error}")
