// Package children makes the objects that a job consists of: its pods and its headless Service.
package children

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/plan"
)

// Labels that every child carries. They are a way to ask for children; whose they are, the controller
// reference says.
const (
	JobLabel   = "training.mod201.dev/job-name"
	IndexLabel = "training.mod201.dev/replica-index"
)

// MasterPort is where the pod with index 0 listens for the others.
const MasterPort = 29500

// TemplateError says that a job's template is no PodTemplateSpec.
type TemplateError struct{ Cause error }

// Error says what is wrong with the template.
func (e *TemplateError) Error() string { return fmt.Sprintf("spec.trainer.template: %v", e.Cause) }

// Unwrap gives the decoder's own error.
func (e *TemplateError) Unwrap() error { return e.Cause }

// Pod is the pod with this index: the template, and over it what makes it a member of the job. The error is a
// *TemplateError.
func Pod(job *v1alpha1.MLTrainingJob, index int32) (*corev1.Pod, error) {
	var template corev1.PodTemplateSpec
	if err := json.Unmarshal(job.Spec.Trainer.Template.Raw, &template); err != nil {
		return nil, &TemplateError{err}
	}
	labels := maps.Clone(template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[JobLabel] = job.Name
	labels[IndexLabel] = strconv.Itoa(int(index))

	spec := template.Spec
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.Hostname = plan.PodName(job.Name, index)
	spec.Subdomain = job.Name
	if spec.PriorityClassName == "" {
		spec.PriorityClassName = job.Spec.RunPolicy.SchedulingPolicy.PriorityClass
	}
	if plan.Gang(job) {
		spec.SchedulingGates = append(spec.SchedulingGates, corev1.PodSchedulingGate{Name: plan.GangGate})
	}
	ours := rendezvous(job, index)
	for _, group := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range group {
			group[i].Env = overlaid(group[i].Env, ours)
		}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            plan.PodName(job.Name, index),
			Namespace:       job.Namespace,
			Labels:          labels,
			Annotations:     template.Annotations,
			OwnerReferences: []metav1.OwnerReference{ownerReference(job)},
		},
		Spec: spec,
	}, nil
}

// Service is the headless Service that gives the pods their names.
func Service(job *v1alpha1.MLTrainingJob) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:            job.Name,
			Namespace:       job.Namespace,
			Labels:          map[string]string{JobLabel: job.Name},
			OwnerReferences: []metav1.OwnerReference{ownerReference(job)},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			// Workers look for the master before any of them is ready.
			PublishNotReadyAddresses: true,
			Selector:                 map[string]string{JobLabel: job.Name},
			Ports: []corev1.ServicePort{{
				Name:       "rendezvous",
				Port:       MasterPort,
				TargetPort: intstr.FromInt32(MasterPort),
				Protocol:   corev1.ProtocolTCP,
			}},
		},
	}
}

func ownerReference(job *v1alpha1.MLTrainingJob) metav1.OwnerReference {
	return *metav1.NewControllerRef(job, v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
}

// rendezvous is how the pods of a job find each other: the variables that torchrun reads.
func rendezvous(job *v1alpha1.MLTrainingJob, index int32) []corev1.EnvVar {
	master := fmt.Sprintf("%s.%s.%s.svc", plan.PodName(job.Name, 0), job.Name, job.Namespace)
	return []corev1.EnvVar{
		{Name: "PET_NNODES", Value: strconv.Itoa(int(plan.Nodes(job)))},
		{Name: "PET_NODE_RANK", Value: strconv.Itoa(int(index))},
		{Name: "PET_MASTER_ADDR", Value: master},
		{Name: "PET_MASTER_PORT", Value: strconv.Itoa(MasterPort)},
	}
}

// overlaid puts our variables first: a template's variable may refer to them as $(NAME).
func overlaid(env, ours []corev1.EnvVar) []corev1.EnvVar {
	result := append(make([]corev1.EnvVar, 0, len(ours)+len(env)), ours...)
	for _, variable := range env {
		if !names(ours, variable.Name) {
			result = append(result, variable)
		}
	}
	return result
}

func names(variables []corev1.EnvVar, name string) bool {
	for i := range variables {
		if variables[i].Name == name {
			return true
		}
	}
	return false
}
