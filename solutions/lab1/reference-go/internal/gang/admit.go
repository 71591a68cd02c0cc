package gang

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/plan"
)

// Admitted are the gated pods of a job to let go now, out of all pods of the cluster.
//
// Those that are up or have finished count towards the gang, so the replacement of one pod may start as soon as
// it fits, and a gang that was let go only in part (the operator died between two writes) is completed first.
func Admitted(job *v1alpha1.MLTrainingJob, everywhere []corev1.Pod, nodes []corev1.Node) []*corev1.Pod {
	type member struct {
		raw  *corev1.Pod
		read plan.Pod
	}
	var waiting []member
	up := len(job.Status.FinishedIndices)
	for i := range everywhere {
		raw := &everywhere[i]
		if raw.Namespace != job.Namespace || !metav1.IsControlledBy(raw, job) {
			continue
		}
		read := plan.ReadPod(raw, job.Name)
		switch {
		case read.Index < 0 || read.Index >= plan.Nodes(job) || !read.Active():
		case read.Gated:
			waiting = append(waiting, member{raw, read})
		default:
			up++
		}
	}
	slices.SortFunc(waiting, func(a, b member) int { return int(a.read.Index) - int(b.read.Index) })
	room := NewRoom(nodes, everywhere)
	var placeable []*corev1.Pod
	for _, pod := range waiting {
		if room.Place(&pod.raw.Spec) {
			placeable = append(placeable, pod.raw)
		}
	}
	if up+len(placeable) < int(plan.Quorum(job)) {
		return nil
	}
	return placeable
}
