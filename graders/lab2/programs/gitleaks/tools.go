//go:build tools

// Package gitleaks pins gitleaks, so that `go build` makes it from the module graph of go.mod
// and nothing else.
package gitleaks

import (
	_ "github.com/zricethezav/gitleaks/v8"
)
