#!/usr/bin/env bash
# The steady state: at least two addresses of the Service are ready. Of the Service alone nothing is known.
set -euo pipefail
ready='{{range .items}}{{range .endpoints}}{{if .conditions.ready}}{{range .addresses}}{{println .}}{{end}}{{end}}{{end}}{{end}}'
addresses=$(kubectl -n serving get endpointslices.discovery.k8s.io -l kubernetes.io/service-name=predictor -o "go-template=$ready")
count=$(grep -c . <<<"$addresses" || true)
echo "$count ready addresses"
((count >= 2))
