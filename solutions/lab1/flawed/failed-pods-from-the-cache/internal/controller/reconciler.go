// Package controller carries plans out: look, decide, write, and look again if anything went otherwise.
package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"mod201.dev/mltj-operator/internal/children"
	"mod201.dev/mltj-operator/internal/plan"
	"mod201.dev/mltj-operator/internal/telemetry"
	"mod201.dev/mltj-operator/internal/transport"
)

const (
	// nameTakenRetry is when to look again for a pod's name that somebody else has.
	nameTakenRetry = 3 * time.Second
	// gatedRetry is when to look again for room for a gang.
	gatedRetry = 2 * time.Second
	// badTemplateRetry is long: the template is immutable, so only a newer API server can change its mind.
	badTemplateRetry = time.Minute
)

// Reconciler moves one job at a time towards what its spec asks for.
//
// It looks into the cache first, which costs nothing: a job with nothing to do ends there. What is done
// follows from a second look, past the cache, for a cache may be late or have missed something; only which pods failed
// the cache knows well enough.
type Reconciler struct {
	// Client writes; its reads come from the cache.
	Client client.Client
	// Live reads past the cache.
	Live     client.Reader
	Metrics  *telemetry.Metrics
	Reporter *telemetry.Reporter
	// Now is the wall clock; nil is the system's.
	Now func() time.Time

	// Two gangs that look at the same places at the same time would each take half of them.
	admission sync.Mutex
	deleted   deletions
}

// Reconcile visits a job once.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cached, err := read(ctx, r.Client, request.NamespacedName, r.now())
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	if decided := plan.Decide(cached); !decided.Due() {
		return ctrl.Result{RequeueAfter: decided.WakeAfter}, nil
	}
	world, err := read(ctx, r.Live, request.NamespacedName, r.now())
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	result, err := r.visit(ctx, world, cached.Pods)
	return calmed(ctx, result, err)
}

func (r *Reconciler) visit(ctx context.Context, world plan.World, seen []plan.Pod) (ctrl.Result, error) {
	decided := plan.Decide(world)
	result := ctrl.Result{RequeueAfter: decided.WakeAfter}
	waiting, err := r.carryOut(ctx, world.Job, decided, seen)
	if err != nil {
		return result, err
	}
	if waiting {
		result = sooner(result, nameTakenRetry)
	}
	if decided.Gated {
		if err := r.admit(ctx, world.Job); err != nil {
			return result, err
		}
		result = sooner(result, gatedRetry)
	}
	return result, nil
}

func (r *Reconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func sooner(result ctrl.Result, after time.Duration) ctrl.Result {
	if result.RequeueAfter == 0 || result.RequeueAfter > after {
		result.RequeueAfter = after
	}
	return result
}

// calmed takes out the errors that trying again soon can't mend; all others, conflicts too, are tried again with growing
// pauses.
func calmed(ctx context.Context, result ctrl.Result, err error) (ctrl.Result, error) {
	var template *children.TemplateError
	switch {
	case errors.As(err, &template), apierrors.IsInvalid(err):
		log.FromContext(ctx).Info("the template makes no pod", "cause", err.Error())
		return sooner(result, badTemplateRetry), nil
	case errors.Is(err, transport.ErrNotLeading):
		return ctrl.Result{}, reconcile.TerminalError(err) // the leader of the moment looks after it
	}
	return result, err
}
