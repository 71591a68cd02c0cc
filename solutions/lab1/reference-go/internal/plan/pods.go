package plan

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// GangGate is the scheduling gate that holds the pods of a gang back until enough of them fit.
const GangGate = "training.mod201.dev/gang"

// Pod is one reading of a pod that the job controls.
type Pod struct {
	Name string
	UID  types.UID
	// Index is -1 when the name is not one the operator gives.
	Index       int32
	Phase       corev1.PodPhase
	Terminating bool
	Ready       bool
	// Disrupted pods were stopped by the cluster (eviction, node loss), not by what ran in them.
	Disrupted bool
	// ExitCode is the first non-zero one of its containers; 0 when none is known.
	ExitCode int32
	// Gated pods wait for their gang.
	Gated bool
}

// ReadPod reads a pod that belongs to the named job.
func ReadPod(pod *corev1.Pod, job string) Pod {
	index, named := indexOf(pod.Name, job)
	if !named {
		index = -1
	}
	return Pod{
		Name:        pod.Name,
		UID:         pod.UID,
		Index:       index,
		Phase:       pod.Status.Phase,
		Terminating: !pod.DeletionTimestamp.IsZero(),
		Ready:       isTrue(pod, corev1.PodReady),
		Disrupted:   pod.Status.Reason == "Evicted" || isTrue(pod, corev1.DisruptionTarget),
		ExitCode:    exitCode(&pod.Status),
		Gated:       HoldsGate(pod),
	}
}

// HoldsGate tells whether a pod still waits for its gang.
func HoldsGate(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, func(gate corev1.PodSchedulingGate) bool {
		return gate.Name == GangGate
	})
}

// Active pods are present and neither finished nor going.
func (p Pod) Active() bool {
	return !p.Terminating && p.Phase != corev1.PodSucceeded && p.Phase != corev1.PodFailed
}

// Running pods run and are not going.
func (p Pod) Running() bool { return !p.Terminating && p.Phase == corev1.PodRunning }

// Succeeded pods finished well by themselves: one that ends well while being deleted was cut short.
func (p Pod) Succeeded() bool { return !p.Terminating && p.Phase == corev1.PodSucceeded }

// Failed pods failed and are not going.
func (p Pod) Failed() bool { return !p.Terminating && p.Phase == corev1.PodFailed }

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

func exitCode(status *corev1.PodStatus) int32 {
	for _, group := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range group {
			if ended := group[i].State.Terminated; ended != nil && ended.ExitCode != 0 {
				return ended.ExitCode
			}
		}
	}
	return 0
}

func present(pods []Pod) []Pod {
	return filter(pods, func(pod Pod) bool { return !pod.Terminating })
}

func filter(pods []Pod, wanted func(Pod) bool) []Pod {
	var kept []Pod
	for _, pod := range pods {
		if wanted(pod) {
			kept = append(kept, pod)
		}
	}
	return kept
}

func count(pods []Pod, wanted func(Pod) bool) int32 {
	return int32(len(filter(pods, wanted))) //nolint:gosec // nobody has two billion pods
}
