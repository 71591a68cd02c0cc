package controller

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

const (
	mostAtOnce   = 10
	firstRetry   = 100 * time.Millisecond
	longestRetry = 5 * time.Second
)

// SetUp has the manager run the reconciler and the sweep.
func SetUp(mgr ctrl.Manager, reconciler *Reconciler, sweepEvery time.Duration) error {
	found := make(chan event.GenericEvent)
	sweeper := &Sweeper{Live: reconciler.Live, Every: sweepEvery, Found: into(found)}
	if err := mgr.Add(sweeper); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.MLTrainingJob{}).
		Owns(&corev1.Pod{}).
		Owns(&corev1.Service{}).
		WatchesRawSource(source.Channel(found, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: mostAtOnce,
			// A replica that stands by keeps its caches warm.
			EnableWarmup: ptr.To(true),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				firstRetry, longestRetry,
			),
		}).
		Complete(reconciler)
}
