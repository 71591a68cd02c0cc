//go:build tools

// Package registry pins crane, which serves a registry too, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package registry

import (
	_ "github.com/google/go-containerregistry/cmd/crane"
)
