//go:build tools

// Package flux pins the kustomize-controller of Flux, and sops with whose formats it decrypts, so that `go build`
// makes them from the module graph of go.mod and nothing else.
package flux

import (
	_ "github.com/fluxcd/kustomize-controller"
	_ "github.com/getsops/sops/v3/cmd/sops"
)
