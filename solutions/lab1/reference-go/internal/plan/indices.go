package plan

import (
	"slices"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// mostCreates bounds one visit, whatever numNodes says: the next visit goes on.
const mostCreates = 500

// inside are the pods whose index the job wants.
func inside(job *v1alpha1.MLTrainingJob, pods []Pod) []Pod {
	return filter(pods, func(pod Pod) bool { return pod.Index >= 0 && pod.Index < Nodes(job) })
}

// surplus are the pods to scale away, highest index first.
func surplus(job *v1alpha1.MLTrainingJob, pods []Pod) []Pod {
	extra := filter(pods, func(pod Pod) bool {
		return !pod.Terminating && (pod.Index < 0 || pod.Index >= Nodes(job))
	})
	slices.SortFunc(extra, func(a, b Pod) int { return int(b.Index) - int(a.Index) })
	return extra
}

// missing are the indices to create now: wanted, not finished, and with a name that is free. A name is free
// when neither a pod of the job, a terminating one included, nor somebody else's has it.
func missing(w World, finished []int32) []int32 {
	occupied := make(map[string]bool, len(w.Pods)+len(w.Taken))
	for _, pod := range w.Pods {
		occupied[pod.Name] = true
	}
	for _, name := range w.Taken {
		occupied[name] = true
	}
	var wanted []int32
	for index := range Nodes(w.Job) {
		_, done := slices.BinarySearch(finished, index)
		if !done && !occupied[PodName(w.Job.Name, index)] {
			wanted = append(wanted, index)
		}
		if len(wanted) == mostCreates {
			break
		}
	}
	return wanted
}

// finishedIndices are the indices within the job's size that succeeded now or at an earlier visit.
func finishedIndices(job *v1alpha1.MLTrainingJob, pods []Pod) []int32 {
	done := slices.Clone(job.Status.FinishedIndices)
	for _, pod := range pods {
		if pod.Succeeded() {
			done = append(done, pod.Index)
		}
	}
	done = slices.DeleteFunc(done, func(index int32) bool { return index < 0 || index >= Nodes(job) })
	slices.Sort(done)
	return slices.Compact(done)
}
