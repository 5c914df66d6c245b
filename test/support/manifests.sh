#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# examples/phoenix_cluster/kubernetes.yaml by Kubernetes' own schema, and do its parts fit each other, Dockerfile, entrypoint.sh and the guide;
# the Dockerfile by hadolint. What they do when they run is tried by deploy.sh. Needs Python with venv.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/auditors.sh"
example=$root/examples/phoenix_cluster

# Fields that are unknown are faults too.
audited() {
    case $1 in
        *.yaml) "$auditors/bin/kubernetes-validate" --strict "$1" && "$auditors/bin/python3" "$fixtures/manifests.py" "$1" "$root" ;;
        # Versions of packages and images are left to whoever makes images: the example is to build next year, too.
        *) "$auditors/bin/hadolint" --no-color --failure-threshold warning --ignore DL3008 "$1" ;;
    esac
}

manifest_sees() {
    local yaml=$example/kubernetes.yaml
    spoiled "$yaml" 's/containerPort: 4370/containerPort: "4370"/' containerPort && spoiled "$yaml" 's/volumeMounts:/volumeMount:/' volumeMount &&
        spoiled "$yaml" 's/^apiVersion: apps.v1$/apiVersion: v1/' versions && spoiled "$yaml" 's/secretName: merlon/secretName: merlin/' 'the Secret of the guide' &&
        spoiled "$yaml" 's/defaultMode: 0440/defaultMode: 0444/' 'for the user and the group alone' && spoiled "$yaml" 's/port: 4370}/port: 4369}/' 'ports of service' &&
        spoiled "$yaml" 's|mountPath: /run/merlon|mountPath: /run/merlin|' 'keyring and its mount' && spoiled "$yaml" 's/shop.default.svc/shops.default.svc/' 'discovery and service'
}

dockerfile_sees() {
    local file=$example/Dockerfile
    spoiled "$file" 's/^FROM rust:1-bookworm/FROM rust:latest/' DL3007 && spoiled "$file" 's/^WORKDIR .src/WORKDIR src/' DL3000 && spoiled "$file" 's/ENTRYPOINT/ENTRYPONT/' 'expecting'
}

auditors_can_be || { echo 'left: Python with venv is not here (apt-get install python3-venv)'; finish; }
check 'auditors, from the cache or PyPI' auditors_installed || finish
check 'kubernetes.yaml: its fields are those of Kubernetes, its parts fit' audited "$example/kubernetes.yaml"
check 'kubernetes.yaml: what is amiss is seen' manifest_sees
check 'Dockerfile: found good' audited "$example/Dockerfile"
check 'Dockerfile: what is amiss is seen' dockerfile_sees
finish
