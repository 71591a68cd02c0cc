// Package election ties the leader's right to write to the lease that it holds.
package election

import (
	"context"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"mod201.dev/mltj-operator/internal/transport"
)

// The times of the election. A lost leader is replaced after Duration; a leader stops writing Window after it sent
// its last successful renewal, which is earlier.
const (
	Duration = 8 * time.Second
	Renew    = 5 * time.Second
	Retry    = time.Second
	Window   = 5 * time.Second
)

// Lock is a Lease that opens the fence with each renewal and shuts it when another replica holds it.
type Lock struct {
	resourcelock.Interface
	fence *transport.Fence
}

// NewLock makes the lock on a Lease; nothing is sent yet.
func NewLock(config *rest.Config, namespace, name, identity string, fence *transport.Fence) (*Lock, error) {
	lease, err := resourcelock.NewFromKubeconfig(
		resourcelock.LeasesResourceLock, namespace, name,
		resourcelock.ResourceLockConfig{Identity: identity}, config, Renew,
	)
	if err != nil {
		return nil, err
	}
	return &Lock{lease, fence}, nil
}

// Get reads the lease.
func (l *Lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() {
		l.fence.Shut()
	}
	return record, raw, err
}

// Create makes the lease and so takes it.
func (l *Lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	sent := time.Now()
	return l.after(l.Interface.Create(ctx, record), sent, record)
}

// Update takes, renews or gives back the lease.
func (l *Lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity != l.Identity() {
		l.fence.Shut()
	}
	sent := time.Now()
	return l.after(l.Interface.Update(ctx, record), sent, record)
}

func (l *Lock) after(err error, sent time.Time, record resourcelock.LeaderElectionRecord) error {
	if err == nil && record.HolderIdentity == l.Identity() {
		l.fence.Renewed(sent)
	}
	return err
}
