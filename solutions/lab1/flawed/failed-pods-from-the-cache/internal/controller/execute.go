package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

var errChanged = errors.New("the job changed while its pods were created")

// carryOut does what was decided, in the order that makes dying between any two writes harmless: first it is
// remembered, then deleted, then created. It tells whether a name that it wants belongs to somebody else.
func (r *Reconciler) carryOut(
	ctx context.Context, job *v1alpha1.MLTrainingJob, decided plan.Plan, seen []plan.Pod,
) (bool, error) {
	happened, err := r.writeStatus(ctx, job, decided)
	if err != nil {
		return false, err
	}
	if happened != nil {
		defer r.Reporter.Tell(ctx, job, *happened)
	}
	for _, pod := range r.doomed(job, decided, seen) {
		if err := r.deletePod(ctx, job, pod); err != nil {
			return false, err
		}
	}
	if decided.CreateService {
		if err := r.Client.Create(ctx, children.Service(job)); err != nil && !apierrors.IsAlreadyExists(err) {
			return false, err
		}
	}
	waiting, err := r.createPods(ctx, job, decided.Creates)
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

// doomed are the pods to delete: those that were decided on, and what else was seen to have failed.
func (r *Reconciler) doomed(job *v1alpha1.MLTrainingJob, decided plan.Plan, seen []plan.Pod) []plan.Pod {
	doomed := decided.Deletes
	if over(job, decided) {
		return doomed
	}
	for _, pod := range seen {
		if pod.Failed() && !slices.Contains(doomed, pod) {
			doomed = append(doomed, pod)
		}
	}
	return slices.DeleteFunc(doomed, func(pod plan.Pod) bool { return r.deleted.lately(pod.UID, r.now()) })
}

// over tells whether failed pods are kept: the job ends, has ended or pauses.
func over(job *v1alpha1.MLTrainingJob, decided plan.Plan) bool {
	ending := decided.Status != nil && decided.Status.Ended()
	return ending || job.Status.Ended() || job.Spec.RunPolicy.Suspend
}

func (r *Reconciler) deletePod(ctx context.Context, job *v1alpha1.MLTrainingJob, pod plan.Pod) error {
	doomed := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: pod.Name}}
	if err := r.Client.Delete(ctx, doomed); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.deleted.note(pod.UID, r.now())
	return nil
}

func (r *Reconciler) createPods(ctx context.Context, job *v1alpha1.MLTrainingJob, indices []int32) (bool, error) {
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
			waiting = true // somebody else's, or one of ours that the reading had missed
		case err != nil:
			return waiting, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return waiting, nil
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
