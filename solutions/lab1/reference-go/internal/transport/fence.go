// Package transport puts two layers under every client: a fence that keeps a replica which no longer leads from
// writing, and patience with an API server that does not answer.
package transport

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// ErrNotLeading says that a write was held back: another replica may be in charge by now.
var ErrNotLeading = errors.New("this replica may not write: its lease was not renewed in time")

// Fence is open for a while after each successful renewal of the lease.
//
// client-go's elector notices a lost lease only when its renewal has failed for a while. A process that was
// stopped and goes on would still take itself for the leader and write. The fence is asked at each write and
// goes by the monotonic clock, so it is shut the moment such a process wakes up.
type Fence struct {
	window time.Duration
	base   time.Time
	until  atomic.Int64 // nanoseconds after base
}

// NewFence makes a shut fence that a renewal opens for window, counted from when the renewal was sent. The window
// has to be shorter than the lease.
func NewFence(window time.Duration) *Fence {
	return &Fence{window: window, base: time.Now()}
}

// Renewed opens the fence; sent is when the renewal went out, not when its answer came.
func (f *Fence) Renewed(sent time.Time) { f.until.Store(int64(sent.Add(f.window).Sub(f.base))) }

// Shut closes the fence.
func (f *Fence) Shut() { f.until.Store(0) }

// Open tells whether this replica may write at this moment.
func (f *Fence) Open() bool { return int64(time.Since(f.base)) < f.until.Load() }

// Wrap lets writes pass only while the fence is open. Leases are always let through: they are how it opens.
func (f *Fence) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if !isRead(request) && !isLease(request) && !f.Open() {
			if request.Body != nil {
				_ = request.Body.Close() // a RoundTripper closes the body, also when it fails
			}
			return nil, ErrNotLeading
		}
		return next.RoundTrip(request)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func isRead(request *http.Request) bool {
	return request.Method == http.MethodGet || request.Method == http.MethodHead
}

func isLease(request *http.Request) bool {
	return strings.HasPrefix(request.URL.Path, "/apis/coordination.k8s.io/")
}

func isWatch(request *http.Request) bool {
	return request.URL.Query().Get("watch") != ""
}
