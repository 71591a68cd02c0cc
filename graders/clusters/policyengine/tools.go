//go:build tools

// Package policyengine pins the command line of Kyverno, so that `go build` makes it from the module graph of
// go.mod and nothing else.
package policyengine

import (
	_ "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno"
)
