//go:build tools

// Package kustomize pins kustomize in the version that Argo CD embeds, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package kustomize

import (
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
