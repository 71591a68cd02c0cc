package plan

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// The CRD's defaults, repeated for objects older than a default.
const (
	defaultBackoffLimit = 3
	defaultNumNodes     = 1
)

// PodName is the name of the pod with this index. Names carry identity, so a pod can't be made twice.
func PodName(job string, index int32) string {
	return fmt.Sprintf("%s-%d", job, index)
}

// indexOf reads the index out of a pod's name; false when the name is not one the operator gives.
func indexOf(pod, job string) (int32, bool) {
	digits, found := strings.CutPrefix(pod, job+"-")
	if !found {
		return 0, false
	}
	index, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || index < 0 || strconv.FormatInt(index, 10) != digits {
		return 0, false
	}
	return int32(index), true
}

// Nodes is how many pods the job wants.
func Nodes(job *v1alpha1.MLTrainingJob) int32 {
	return max(job.Spec.Trainer.NumNodes, defaultNumNodes)
}

// Gang tells whether pods may only start together.
func Gang(job *v1alpha1.MLTrainingJob) bool {
	return min(job.Spec.RunPolicy.SchedulingPolicy.MinAvailable, Nodes(job)) > 1
}

// Quorum is how many pods must be up before the job counts as running.
func Quorum(job *v1alpha1.MLTrainingJob) int32 {
	if Gang(job) {
		return min(job.Spec.RunPolicy.SchedulingPolicy.MinAvailable, Nodes(job))
	}
	return Nodes(job)
}

func backoffLimit(job *v1alpha1.MLTrainingJob) int32 {
	return ptr.Deref(job.Spec.RunPolicy.BackoffLimit, defaultBackoffLimit)
}
