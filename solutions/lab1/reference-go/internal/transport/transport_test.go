package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mod201.dev/mltj-operator/internal/transport"
)

// server is a RoundTripper that answers what it is told to, and remembers when it was asked.
type server struct {
	mu     sync.Mutex
	answer func(*http.Request) (int, error)
	asked  []time.Time
}

func (s *server) RoundTrip(request *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	code, err := s.answer(request)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func ask(t *testing.T, method, path string) *http.Request {
	t.Helper()
	var body io.Reader
	if method != http.MethodGet {
		body = strings.NewReader("{}")
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "https://api"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func always(code int) func(*http.Request) (int, error) {
	return func(*http.Request) (int, error) { return code, nil }
}

const (
	pods  = "/api/v1/pods"
	lease = "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"
)

func TestOnlyAReplicaWithAFreshLeaseWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &server{answer: always(200)}
		fence := transport.NewFence(5 * time.Second)
		wrapped := fence.Wrap(api)
		send := func(method, path string) error {
			_, err := wrapped.RoundTrip(ask(t, method, path))
			return err
		}
		if err := send(http.MethodPost, pods); !errors.Is(err, transport.ErrNotLeading) {
			t.Errorf("before the first renewal: %v", err)
		}
		if send(http.MethodGet, pods) != nil || send(http.MethodPut, lease) != nil {
			t.Error("reads and leases must pass")
		}
		fence.Renewed(time.Now())
		time.Sleep(4 * time.Second)
		if err := send(http.MethodPost, pods); err != nil {
			t.Errorf("within the window: %v", err)
		}
		time.Sleep(time.Second)
		if err := send(http.MethodPost, pods); !errors.Is(err, transport.ErrNotLeading) {
			t.Errorf("after the window: %v", err)
		}
		fence.Renewed(time.Now())
		fence.Shut()
		if fence.Open() {
			t.Error("open although shut")
		}
	})
}

func newPatience(api http.RoundTripper) http.RoundTripper {
	return transport.NewPatience(250*time.Millisecond, 3*time.Second, 10*time.Second).Wrap(api)
}

func TestReadsWaitForAnAPIServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		api := &server{answer: func(*http.Request) (int, error) {
			switch away := time.Since(began); {
			case away < 10*time.Second:
				return 503, nil
			case away < 20*time.Second:
				return 0, errors.New("connection refused")
			}
			return 200, nil
		}}
		wrapped := newPatience(api)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				response, err := wrapped.RoundTrip(ask(t, http.MethodGet, pods))
				if err != nil || response.StatusCode != 200 {
					t.Errorf("got %v, %v", response, err)
					return
				}
				_ = response.Body.Close()
			})
		}
		all.Wait()
		if late := time.Since(began); late > 24*time.Second {
			t.Errorf("noticed after %v", late)
		}
		// 50 before it is known, 50 at the end, and a handful in between.
		if len(api.asked) > 120 {
			t.Errorf("%d requests", len(api.asked))
		}
	})
}

func TestAWriteIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &server{answer: always(503)}
		response, err := newPatience(api).RoundTrip(ask(t, http.MethodPost, pods))
		if err != nil || response.StatusCode != 503 || len(api.asked) != 1 {
			t.Errorf("got %v, %v after %d requests", response, err, len(api.asked))
		}
	})
}

func TestLeasesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &server{answer: always(503)}
		wrapped := newPatience(api)
		began := time.Now()
		for range 5 {
			if _, err := wrapped.RoundTrip(ask(t, http.MethodPut, lease)); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(began) > 0 {
			t.Error("an elector was kept waiting")
		}
	})
}

func TestWhoeverGivesUpIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrapped := newPatience(&server{answer: always(503)})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		response, err := wrapped.RoundTrip(ask(t, http.MethodGet, pods).WithContext(ctx))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", response, err)
		}
	})
}

func TestNoIsAnAnswer(t *testing.T) {
	api := &server{answer: always(404)}
	response, err := newPatience(api).RoundTrip(ask(t, http.MethodGet, pods))
	if err != nil || response.StatusCode != 404 || len(api.asked) != 1 {
		t.Errorf("got %v, %v", response, err)
	}
}
