//go:build tools

// Package kyverno pins Kyverno and its command line, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package kyverno

import (
	_ "github.com/kyverno/kyverno/cmd/kyverno"
	_ "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno"
)
