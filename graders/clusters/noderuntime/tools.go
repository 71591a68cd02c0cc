//go:build tools

// Package noderuntime pins the container runtime of a kind node built here, which does not go together with the
// Kubernetes of ../nodeprograms: it is made for an older interface. The rest of its requirements are raised to those
// of ../controlplane, so that packages which both need are compiled once.
package noderuntime

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
