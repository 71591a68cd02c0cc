package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/children"
	"mod201.dev/mltj-operator/internal/plan"
)

var _ manager.Runnable = (*Sweeper)(nil)
var _ manager.LeaderElectionRunnable = (*Sweeper)(nil)

// Sweeper is the safety net: watches may be late, cut or silent, so now and then it looks at everything past the
// cache and names the jobs that have something to do. Jobs at rest cost three reads together.
type Sweeper struct {
	Live  client.Reader
	Every time.Duration
	// Found takes the jobs.
	Found func(ctx context.Context, job *v1alpha1.MLTrainingJob)
}

// NeedLeaderElection keeps it quiet while another replica leads.
func (s *Sweeper) NeedLeaderElection() bool { return true }

// Start sweeps until the context ends.
func (s *Sweeper) Start(ctx context.Context) error {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				log.FromContext(ctx).Info("the sweep is put off", "cause", err.Error())
			}
		}
	}
}

func (s *Sweeper) sweep(ctx context.Context) error {
	var jobs v1alpha1.MLTrainingJobList
	if err := s.Live.List(ctx, &jobs); err != nil {
		return err
	}
	if len(jobs.Items) == 0 {
		return nil
	}
	var pods corev1.PodList
	if err := s.Live.List(ctx, &pods, client.HasLabels{children.JobLabel}); err != nil {
		return err
	}
	var services metav1.PartialObjectMetadataList
	services.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceList"))
	if err := s.Live.List(ctx, &services); err != nil {
		return err
	}
	podsOf := map[types.NamespacedName][]corev1.Pod{}
	for _, pod := range pods.Items {
		// Whoever owns a pod: its label says which job's reading it turns up in.
		key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[children.JobLabel]}
		podsOf[key] = append(podsOf[key], pod)
	}
	taken := map[types.NamespacedName]bool{}
	for i := range services.Items {
		taken[client.ObjectKeyFromObject(&services.Items[i])] = true
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		key := client.ObjectKeyFromObject(job)
		if plan.Decide(worldOf(job, podsOf[key], taken[key], time.Now())).Due() {
			s.Found(ctx, job)
		}
	}
	return nil
}

// into sends jobs to a channel source.
func into(channel chan<- event.GenericEvent) func(context.Context, *v1alpha1.MLTrainingJob) {
	return func(ctx context.Context, job *v1alpha1.MLTrainingJob) {
		select {
		case channel <- event.GenericEvent{Object: job}:
		case <-ctx.Done():
		}
	}
}
