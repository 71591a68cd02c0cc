package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Patience waits for an API server that is away.
//
// While it is, one request at a time finds out whether it is back, at growing intervals; all others wait in line.
// So however many jobs and watches there are, an outage costs a handful of requests, and its end is seen
// at once, by reflectors too, whose own back-off would sleep up to a minute longer. Reads are sent
// again until they are answered; a write is tried once, for only its author knows what a lost answer means.
type Patience struct {
	first, longest time.Duration
	answer         time.Duration // how long one attempt may take; a watch may take for ever
	turn           chan struct{}

	mu      sync.Mutex
	pause   time.Duration // 0 while all is well
	retryAt time.Time
}

// NewPatience makes one that pauses between first and longest, and gives a request other than a watch so long for
// its answer.
func NewPatience(first, longest, answer time.Duration) *Patience {
	return &Patience{first: first, longest: longest, answer: answer, turn: make(chan struct{}, 1)}
}

// Wrap puts patience around next. Leases pass by: an elector has deadlines of its own.
func (p *Patience) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if isLease(request) {
			return next.RoundTrip(request)
		}
		for {
			release, err := p.await(request.Context())
			if err != nil {
				if request.Body != nil {
					_ = request.Body.Close()
				}
				return nil, err
			}
			response, err := p.attempt(next, request)
			release()
			if !isRead(request) || !isAway(response, err) || request.Context().Err() != nil {
				return response, err
			}
			if response != nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
				_ = response.Body.Close()
			}
		}
	})
}

// await returns when the request may go out: at once while all is well, else when it is its turn.
func (p *Patience) await(ctx context.Context) (release func(), err error) {
	if _, well := p.wait(); well {
		return func() {}, nil
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release = func() { <-p.turn }
	wait, well := p.wait()
	if well {
		release() // it came back while this one stood in line
		return func() {}, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return release, nil
	case <-ctx.Done():
		release()
		return nil, context.Cause(ctx)
	}
}

func (p *Patience) attempt(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	ctx, cancel := request.Context(), context.CancelFunc(func() {})
	if !isWatch(request) {
		ctx, cancel = context.WithTimeout(ctx, p.answer)
	}
	response, err := next.RoundTrip(request.WithContext(ctx))
	if request.Context().Err() == nil && !errors.Is(err, ErrNotLeading) {
		p.note(isAway(response, err))
	}
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &cancelling{response.Body, cancel}
	return response, nil
}

// wait is how long to wait before the next attempt, and whether there is nothing to wait for.
func (p *Patience) wait() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.retryAt), p.pause == 0
}

func (p *Patience) note(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !away {
		p.pause = 0
		return
	}
	if time.Now().Before(p.retryAt) {
		return // sent before the outage was known: one outage, one step
	}
	p.pause = min(max(2*p.pause, p.first), p.longest)
	p.retryAt = time.Now().Add(p.pause)
}

// isAway tells whether an attempt says that the API server is not there, rather than that it says no.
func isAway(response *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, ErrNotLeading)
	}
	return response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= http.StatusInternalServerError
}

// cancelling frees the timer of a request once its answer was read.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *cancelling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
