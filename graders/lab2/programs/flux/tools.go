//go:build tools

// Package flux pins the kustomize-controller of Flux, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package flux

import (
	_ "github.com/fluxcd/kustomize-controller"
)
