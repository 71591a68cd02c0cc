//go:build tools

// Package kindcommand pins kind itself, so that `go build` makes it from the module graph of go.mod and nothing
// else.
package kindcommand

import (
	_ "sigs.k8s.io/kind"
)
