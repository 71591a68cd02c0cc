#!/bin/sh
# Pins every requirement with hashes: of kubeproof, of the learner runtime, of the Go toolchain, of Chaos Toolkit.
set -eu
cd "$(dirname "$0")/.."

tool=build/lock
if [ ! -x "$tool/bin/uv" ]; then
    python3 -m venv "$tool"
    "$tool/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
fi

pin() {
    "$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --upgrade \
        --generate-hashes --no-emit-index-url --no-annotate --no-header "$@"
}

# The build backend is not a dependency of the package, yet an offline editable install needs it.
grep -o '"setuptools[>=~]*[0-9][^"]*"' pyproject.toml | tr -d '"' | pin --extra dev pyproject.toml - --output-file requirements.lock
pin graders/sandbox/learner-requirements.in --output-file graders/sandbox/learner-requirements.txt
pin graders/tools/toolchain-requirements.in --output-file graders/tools/toolchain-requirements.txt
# S3's library wants an older python-dateutil than the rest would take; both work with that.
sed '/^python-dateutil==/,/[^\\]$/d' requirements.lock >"$tool/constraints.txt"
pin graders/batch/s3-requirements.in --constraint "$tool/constraints.txt" --output-file graders/batch/s3-requirements.txt
pin graders/lab3/chaos-requirements.in --output-file graders/lab3/chaos-requirements.txt
pin graders/lab3/hunter-requirements.in --override graders/lab3/hunter-overrides.txt --output-file graders/lab3/hunter-requirements.txt
pin graders/lab3/notebook-requirements.in --output-file graders/lab3/notebook-requirements.txt
