//go:build tools

// Package helm pins Helm, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package helm

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
