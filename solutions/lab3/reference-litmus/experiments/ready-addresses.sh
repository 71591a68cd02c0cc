#!/usr/bin/env bash
# How many addresses of the Service are ready: of the Service alone nothing is known.
set -euo pipefail
ready='{{range .items}}{{range .endpoints}}{{if .conditions.ready}}{{range .addresses}}{{println .}}{{end}}{{end}}{{end}}{{end}}'
addresses=$(kubectl -n serving get endpointslices.discovery.k8s.io -l kubernetes.io/service-name=predictor -o "go-template=$ready")
grep -c . <<<"$addresses" || true
