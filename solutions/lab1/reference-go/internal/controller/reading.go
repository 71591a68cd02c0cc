package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/children"
	"mod201.dev/mltj-operator/internal/plan"
)

// read makes one reading of the world around a job. The job itself is read last, so that its deletion is seen
// before pods are created.
//
// The error is the reader's own; it is a NotFound when there is no such job.
func read(ctx context.Context, from client.Reader, key client.ObjectKey, now time.Time) (plan.World, error) {
	var pods corev1.PodList
	err := from.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabels{children.JobLabel: key.Name})
	if err != nil {
		return plan.World{}, err
	}
	servicePresent := true
	if err := from.Get(ctx, key, &corev1.Service{}); apierrors.IsNotFound(err) {
		servicePresent = false
	} else if err != nil {
		return plan.World{}, err
	}
	job := &v1alpha1.MLTrainingJob{}
	if err := from.Get(ctx, key, job); err != nil {
		return plan.World{}, err
	}
	return worldOf(job, pods.Items, servicePresent, now), nil
}

// worldOf sorts the pods of a reading by whom they belong to: the controller reference says so, a label is only a
// way to ask.
func worldOf(job *v1alpha1.MLTrainingJob, pods []corev1.Pod, servicePresent bool, now time.Time) plan.World {
	world := plan.World{Job: job, ServicePresent: servicePresent, Now: now}
	for i := range pods {
		if metav1.IsControlledBy(&pods[i], job) {
			world.Pods = append(world.Pods, plan.ReadPod(&pods[i], job.Name))
		} else {
			world.Taken = append(world.Taken, pods[i].Name)
		}
	}
	return world
}
