package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyInto copies the job into out.
func (in *MLTrainingJob) DeepCopyInto(out *MLTrainingJob) {
	out.TypeMeta = in.TypeMeta
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Spec.DeepCopyInto(&out.Spec)
	in.Status.DeepCopyInto(&out.Status)
}

// DeepCopy copies the job.
func (in *MLTrainingJob) DeepCopy() *MLTrainingJob {
	if in == nil {
		return nil
	}
	out := new(MLTrainingJob)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyObject copies the job as a runtime.Object.
func (in *MLTrainingJob) DeepCopyObject() runtime.Object {
	if copied := in.DeepCopy(); copied != nil {
		return copied
	}
	return nil
}

// DeepCopyInto copies the list into out.
func (in *MLTrainingJobList) DeepCopyInto(out *MLTrainingJobList) {
	out.TypeMeta = in.TypeMeta
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = nil
	if in.Items != nil {
		out.Items = make([]MLTrainingJob, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
}

// DeepCopy copies the list.
func (in *MLTrainingJobList) DeepCopy() *MLTrainingJobList {
	if in == nil {
		return nil
	}
	out := new(MLTrainingJobList)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyObject copies the list as a runtime.Object.
func (in *MLTrainingJobList) DeepCopyObject() runtime.Object {
	if copied := in.DeepCopy(); copied != nil {
		return copied
	}
	return nil
}

// DeepCopyInto copies the spec into out.
func (in *MLTrainingJobSpec) DeepCopyInto(out *MLTrainingJobSpec) {
	*out = *in
	out.RunPolicy.BackoffLimit = copied(in.RunPolicy.BackoffLimit)
	out.RunPolicy.ActiveDeadlineSeconds = copied(in.RunPolicy.ActiveDeadlineSeconds)
	out.RunPolicy.TTLSecondsAfterFinished = copied(in.RunPolicy.TTLSecondsAfterFinished)
	in.Trainer.Template.DeepCopyInto(&out.Trainer.Template)
}

// DeepCopyInto copies the status into out.
func (in *MLTrainingJobStatus) DeepCopyInto(out *MLTrainingJobStatus) {
	*out = *in
	out.StartTime = in.StartTime.DeepCopy()
	out.FirstRunningTime = in.FirstRunningTime.DeepCopy()
	out.CompletionTime = in.CompletionTime.DeepCopy()
	out.CountedFailures = slices.Clone(in.CountedFailures)
	out.FinishedIndices = slices.Clone(in.FinishedIndices)
	out.Conditions = nil
	if in.Conditions != nil {
		out.Conditions = make([]metav1.Condition, len(in.Conditions))
		for i := range in.Conditions {
			in.Conditions[i].DeepCopyInto(&out.Conditions[i])
		}
	}
}

// DeepCopy copies the status.
func (in *MLTrainingJobStatus) DeepCopy() *MLTrainingJobStatus {
	if in == nil {
		return nil
	}
	out := new(MLTrainingJobStatus)
	in.DeepCopyInto(out)
	return out
}

func copied[T any](value *T) *T {
	if value == nil {
		return nil
	}
	out := *value
	return &out
}
