package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/children"
	"mod201.dev/mltj-operator/internal/gang"
	"mod201.dev/mltj-operator/internal/plan"
	"mod201.dev/mltj-operator/internal/telemetry"
	"mod201.dev/mltj-operator/internal/transport"
)

// readingGoodFor bounds how long pods are created on the strength of one reading: the job may be deleted
// meanwhile.
const readingGoodFor = 500 * time.Millisecond

// leftover is how old a pod must be to be one: a younger one the cache may not know yet.
const leftover = 3 * time.Second

var errChanged = errors.New("the job changed while its pods were created")

// carryOut does what was decided, in the order that makes dying between any two writes harmless: first it is
// remembered, then deleted, then created. It tells whether a name that it wants belongs to somebody else.
func (r *Reconciler) carryOut(
	ctx context.Context, job *v1alpha1.MLTrainingJob, decided plan.Plan, read time.Time,
) (bool, error) {
	happened, err := r.writeStatus(ctx, job, decided)
	if err != nil {
		return false, err
	}
	if happened != nil {
		defer r.Reporter.Tell(ctx, job, *happened)
	}
	for _, pod := range decided.Deletes {
		if err := r.deletePod(ctx, job, pod); err != nil {
			return false, err
		}
	}
	if decided.CreateService {
		if err := r.Client.Create(ctx, children.Service(job)); err != nil && !apierrors.IsAlreadyExists(err) {
			return false, err
		}
	}
	waiting, err := r.createPods(ctx, job, decided.Creates, read)
	if err != nil || !decided.DeleteJob {
		return waiting, err
	}
	return waiting, r.deleteJob(ctx, job)
}

// writeStatus writes the status if it changed, and nothing over what others wrote meanwhile: a merge patch of the
// fields that differ, valid only for the version that was read.
func (r *Reconciler) writeStatus(
	ctx context.Context, job *v1alpha1.MLTrainingJob, decided plan.Plan,
) (*telemetry.Transitions, error) {
	if decided.Status == nil {
		return nil, nil
	}
	wanted := job.DeepCopy()
	wanted.Status = *decided.Status
	patch := client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, wanted, patch); err != nil {
		if !r.writtenAnyway(ctx, job, decided, err) {
			return nil, err
		}
	}
	happened := telemetry.Between(&job.Status, decided.Status)
	r.Metrics.Record(job.Namespace, happened)
	return &happened, nil
}

// writtenAnyway finds out whether a write whose answer was lost was carried out: what was not counted now, the next
// reading can no longer tell.
func (r *Reconciler) writtenAnyway(
	ctx context.Context, job *v1alpha1.MLTrainingJob, decided plan.Plan, err error,
) bool {
	if answered(err) || errors.Is(err, transport.ErrNotLeading) {
		return false
	}
	fresh := &v1alpha1.MLTrainingJob{}
	if r.Live.Get(ctx, client.ObjectKeyFromObject(job), fresh) != nil || fresh.UID != job.UID {
		return false
	}
	return plan.SameStatus(&fresh.Status, decided.Status)
}

func (r *Reconciler) deletePod(ctx context.Context, job *v1alpha1.MLTrainingJob, pod plan.Pod) error {
	doomed := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: pod.Name}}
	// By UID, so never the successor of what was read.
	err := r.Client.Delete(ctx, doomed, client.Preconditions{UID: &pod.UID})
	return client.IgnoreNotFound(err)
}

func (r *Reconciler) createPods(
	ctx context.Context, job *v1alpha1.MLTrainingJob, indices []int32, cached time.Time,
) (bool, error) {
	waiting := false
	read := time.Now()
	for _, index := range indices {
		if time.Since(read) > readingGoodFor {
			if err := r.expectUnchanged(ctx, job); err != nil {
				return waiting, err
			}
			read = time.Now()
		}
		pod, err := children.Pod(job, index)
		if err != nil {
			return waiting, err
		}
		err = r.Client.Create(ctx, pod)
		switch {
		case apierrors.IsAlreadyExists(err):
			waiting = true
			if err := r.clearAway(ctx, job, pod.Name, cached); err != nil {
				return waiting, err
			}
		case err != nil:
			return waiting, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return waiting, nil
}

// clearAway deletes a pod of the job's that is in the way of a new one, unless it goes already or had hardly started when
// the cache was read.
func (r *Reconciler) clearAway(
	ctx context.Context, job *v1alpha1.MLTrainingJob, name string, cached time.Time,
) error {
	var pods corev1.PodList
	ours := client.MatchingLabels{children.JobLabel: job.Name}
	if err := r.Live.List(ctx, &pods, client.InNamespace(job.Namespace), ours); err != nil {
		return err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		started := pod.Status.StartTime
		young := started == nil || cached.Sub(started.Time) < leftover
		if pod.Name != name || young || !pod.DeletionTimestamp.IsZero() || !metav1.IsControlledBy(pod, job) {
			continue
		}
		err := r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
		return client.IgnoreNotFound(err)
	}
	return nil
}

func (r *Reconciler) expectUnchanged(ctx context.Context, job *v1alpha1.MLTrainingJob) error {
	fresh := &v1alpha1.MLTrainingJob{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(job), fresh); err != nil {
		return err
	}
	if !fresh.DeletionTimestamp.IsZero() || fresh.UID != job.UID || fresh.Generation != job.Generation {
		return errChanged
	}
	return nil
}

func (r *Reconciler) deleteJob(ctx context.Context, job *v1alpha1.MLTrainingJob) error {
	same := client.Preconditions{UID: &job.UID, ResourceVersion: &job.ResourceVersion}
	err := r.Client.Delete(ctx, job.DeepCopy(), same, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}

// admit lifts the gates of a job's waiting pods, if enough of them fit.
func (r *Reconciler) admit(ctx context.Context, job *v1alpha1.MLTrainingJob) error {
	r.admission.Lock()
	defer r.admission.Unlock()
	var nodes corev1.NodeList
	var pods corev1.PodList
	if err := r.Live.List(ctx, &nodes); err != nil {
		return err
	}
	if err := r.Live.List(ctx, &pods); err != nil {
		return err
	}
	for _, pod := range gang.Admitted(job, pods.Items, nodes.Items) {
		freed := pod.DeepCopy()
		freed.Spec.SchedulingGates = nil
		for _, gate := range pod.Spec.SchedulingGates {
			if gate.Name != plan.GangGate {
				freed.Spec.SchedulingGates = append(freed.Spec.SchedulingGates, gate)
			}
		}
		patch := client.MergeFromWithOptions(pod, client.MergeFromWithOptimisticLock{})
		if err := r.Client.Patch(ctx, freed, patch); err != nil {
			return err
		}
	}
	return nil
}

// answered tells whether the API server itself said no, so that nothing was written.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code < 500
}
