package plan

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// The six conditions of a job, in the order in which a first visit writes them.
var conditionTypes = []string{
	v1alpha1.Created, v1alpha1.Running, v1alpha1.Restarting,
	v1alpha1.Suspended, v1alpha1.Complete, v1alpha1.Failed,
}

// said is what a condition should say; the time of its last flip is not ours to choose.
type said struct {
	status          metav1.ConditionStatus
	reason, message string
}

// story maps condition types to what they should say. Reasons and messages depend on the stage of the job
// alone, so that a job which was watched all the way and one that was found again after a crash read the same.
type story map[string]said

var endings = map[string]string{
	"AllPodsSucceeded":     "every pod has succeeded",
	"PodFailed":            "a pod failed and the restart policy is Never",
	"PermanentExitCode":    "a pod failed with an exit code that is not retried",
	"BackoffLimitExceeded": "more pods failed than the backoff limit allows",
	"DeadlineExceeded":     "the job was active longer than activeDeadlineSeconds",
}

func quiet() story {
	return story{
		v1alpha1.Created:    {metav1.ConditionTrue, "Accepted", "the job is being looked after"},
		v1alpha1.Running:    {metav1.ConditionFalse, "NotRunning", "not enough pods are running"},
		v1alpha1.Restarting: {metav1.ConditionFalse, "NotRestarting", "no failed pod is being replaced"},
		v1alpha1.Suspended:  {metav1.ConditionFalse, "NotSuspended", "the job is not suspended"},
		v1alpha1.Complete:   {metav1.ConditionFalse, "NotComplete", "work is left to do"},
		v1alpha1.Failed:     {metav1.ConditionFalse, "NotFailed", "the job has not failed"},
	}
}

func (s story) with(kind, reason, message string) story {
	s[kind] = said{metav1.ConditionTrue, reason, message}
	return s
}

func underWay(running, restarting bool) story {
	switch {
	case running:
		return quiet().with(v1alpha1.Running, "PodsRunning", "enough pods are running")
	case restarting:
		return quiet().with(v1alpha1.Restarting, "PodFailed", "a failed pod is being replaced")
	}
	return quiet()
}

func suspended() story {
	return quiet().with(v1alpha1.Suspended, "Suspended", "the job is suspended")
}

func over(kind, reason string) story {
	return quiet().with(kind, reason, endings[reason])
}

// told folds a story into a list that others write to as well: foreign conditions stay as they are, where they
// are.
func told(current []metav1.Condition, s story, now metav1.Time) []metav1.Condition {
	conditions := slices.Clone(current)
	for _, kind := range conditionTypes {
		wanted := s[kind]
		at := slices.IndexFunc(conditions, func(c metav1.Condition) bool { return c.Type == kind })
		if at < 0 {
			conditions = append(conditions, metav1.Condition{Type: kind})
			at = len(conditions) - 1
		}
		condition := &conditions[at]
		if condition.Status != wanted.status || condition.LastTransitionTime.IsZero() {
			condition.LastTransitionTime = now
		}
		condition.Status, condition.Reason, condition.Message = wanted.status, wanted.reason, wanted.message
	}
	return conditions
}
