//go:build tools

// Package etcdtools pins the clients of etcd that runbooks have at hand, in a module of their own: beside the control
// plane's they would move its sums, and every machine would build that anew.
package etcdtools

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/etcdutl/v3"
)
