package election

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"mod201.dev/mltj-operator/internal/transport"
)

// lease is a lock that somebody holds.
type lease struct {
	resourcelock.Interface
	holder string
	err    error
}

func (l *lease) Identity() string { return "me" }

func (l *lease) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &resourcelock.LeaderElectionRecord{HolderIdentity: l.holder}, nil, l.err
}

func (l *lease) Create(context.Context, resourcelock.LeaderElectionRecord) error { return l.err }
func (l *lease) Update(context.Context, resourcelock.LeaderElectionRecord) error { return l.err }

func TestTheFenceFollowsTheLease(t *testing.T) {
	held := &lease{}
	lock := &Lock{held, transport.NewFence(time.Minute)}
	mine, nobodys := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}, resourcelock.LeaderElectionRecord{}
	expect := func(what string, open bool, err error) {
		t.Helper()
		if !errors.Is(err, held.err) || lock.fence.Open() != open {
			t.Errorf("%s: open is %v, error %v", what, lock.fence.Open(), err)
		}
	}
	expect("created", true, lock.Create(t.Context(), mine))
	expect("given back", false, lock.Update(t.Context(), nobodys))
	expect("taken again", true, lock.Update(t.Context(), mine))
	held.holder = "another"
	_, _, err := lock.Get(t.Context())
	expect("seen in another's hands", false, err)
	held.err = errors.New("conflict")
	expect("not renewed", false, lock.Update(t.Context(), mine))
}

func TestNewLock(t *testing.T) {
	lock, err := NewLock(&rest.Config{Host: "https://api"}, "ns", "name", "me", transport.NewFence(Window))
	if err != nil || lock.Identity() != "me" || lock.Describe() != "ns/name" {
		t.Errorf("got %v, %v", lock, err)
	}
	if Window >= Duration || Renew >= Duration {
		t.Error("a leader could write when its lease has run out")
	}
}
