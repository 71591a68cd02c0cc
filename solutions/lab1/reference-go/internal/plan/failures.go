package plan

import (
	"slices"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// judgement is what the failed pods of a job mean for it.
//
// A failure is counted by one status write that raises restarts and names the pod's UID; only then is the
// pod deleted, and only then re-created. So it is counted once, wherever the process dies.
type judgement struct {
	restarts int32
	counted  []string
	fresh    int
	// ending is the reason why the job fails; empty when it goes on.
	ending string
}

// judge counts the failures that nobody counted yet, and says whether the job survives them.
func judge(job *v1alpha1.MLTrainingJob, pods []Pod) judgement {
	var known []string
	var fresh []Pod
	for _, pod := range pods {
		switch {
		case slices.Contains(job.Status.CountedFailures, string(pod.UID)):
			known = append(known, string(pod.UID))
		case pod.Failed() && !pod.Disrupted:
			fresh = append(fresh, pod)
		}
	}
	if ending := ending(job, fresh); ending != "" {
		return judgement{job.Status.Restarts, known, len(fresh), ending}
	}
	counted := known
	for _, pod := range fresh {
		counted = append(counted, string(pod.UID))
	}
	return judgement{job.Status.Restarts + int32(len(fresh)), counted, len(fresh), ""}
}

func ending(job *v1alpha1.MLTrainingJob, fresh []Pod) string {
	policy := job.Spec.Trainer.RestartPolicy
	switch {
	case len(fresh) == 0:
		return ""
	case policy == v1alpha1.RestartNever:
		return "PodFailed"
	case policy == v1alpha1.RestartExitCode && slices.ContainsFunc(fresh, permanent):
		return "PermanentExitCode"
	case int64(job.Status.Restarts)+int64(len(fresh)) > int64(backoffLimit(job)):
		// Every earlier failure led to a restart.
		return "BackoffLimitExceeded"
	}
	return ""
}

// permanent tells whether the exit code says that trying again can't help: 1-127, the program's own choice.
// 128 and above mean a signal; without a code the node was lost or the pod never started.
func permanent(pod Pod) bool { return pod.ExitCode >= 1 && pod.ExitCode <= 127 }
