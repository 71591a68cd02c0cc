//go:build tools

// Package supplychain pins what a preflight may use: cosign and conftest, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package supplychain

import (
	_ "github.com/sigstore/cosign/v3/cmd/cosign"
	_ "github.com/open-policy-agent/conftest"
)
