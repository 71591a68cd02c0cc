//go:build tools

// Package noderuntime pins a container runtime that gives pods user namespaces: Debian 12's, which the nodes that are
// built here have, is older than that.
package noderuntime

import _ "github.com/opencontainers/runc"
