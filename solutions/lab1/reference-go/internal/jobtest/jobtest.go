// Package jobtest makes jobs and pods for tests.
package jobtest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// Template is a plain pod template.
const Template = `{"spec": {"containers": [{"name": "trainer", "image": "example.invalid/trainer:1"}]}}`

// Job makes a job of so many nodes and changes it as told.
func Job(nodes int32, changes ...func(*v1alpha1.MLTrainingJob)) *v1alpha1.MLTrainingJob {
	job := &v1alpha1.MLTrainingJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "train", UID: "job-uid", Generation: 1},
		Spec: v1alpha1.MLTrainingJobSpec{
			RunPolicy: v1alpha1.RunPolicy{
				BackoffLimit:     ptr.To[int32](3),
				CleanPodPolicy:   v1alpha1.CleanNone,
				SchedulingPolicy: v1alpha1.SchedulingPolicy{MinAvailable: 1},
			},
			Trainer: v1alpha1.Trainer{
				NumNodes:      nodes,
				RestartPolicy: v1alpha1.RestartOnFailure,
				Template:      runtime.RawExtension{Raw: []byte(Template)},
			},
		},
	}
	for _, change := range changes {
		change(job)
	}
	return job
}

// Pod makes a pod in the given phase that the job controls.
func Pod(job *v1alpha1.MLTrainingJob, name string, phase corev1.PodPhase) *corev1.Pod {
	kind := v1alpha1.GroupVersion.WithKind(v1alpha1.Kind)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       job.Namespace,
			Name:            name,
			UID:             types.UID("uid-of-" + name),
			Labels:          map[string]string{"training.mod201.dev/job-name": job.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, kind)},
		},
		Status: corev1.PodStatus{Phase: phase},
	}
}

// Exited gives a pod a container that ended with this code.
func Exited(pod *corev1.Pod, code int32) *corev1.Pod {
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
	})
	return pod
}
