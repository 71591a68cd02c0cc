//go:build tools

// Package gatekeeper pins Gatekeeper and its command line, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package gatekeeper

import (
	_ "github.com/open-policy-agent/gatekeeper/v3"
	_ "github.com/open-policy-agent/gatekeeper/v3/cmd/gator"
)
