// Package plan decides what to do about a job: a pure function of one reading of the world.
//
// It is asked again after every change, so it never has to look ahead: it says what can be done now, and the
// next reading says what became of it. It has no memory and does no I/O.
package plan

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// World is one reading: a job, the pods it controls, and what stands in its way.
type World struct {
	Job  *v1alpha1.MLTrainingJob
	Pods []Pod
	// Taken are names of pods that belong to somebody else.
	Taken []string
	// ServicePresent tells whether the Service's name is in use, by the job's own or by somebody else's.
	ServicePresent bool
	Now            time.Time
}

// Plan is what to write, in the order of the fields.
type Plan struct {
	// Status is nil when it is as it should be.
	Status        *v1alpha1.MLTrainingJobStatus
	Deletes       []Pod
	CreateService bool
	Creates       []int32
	DeleteJob     bool
	// Gated tells whether pods wait for room.
	Gated bool
	// WakeAfter is when to look again although nothing may happen until then; 0 for never.
	WakeAfter time.Duration
}

// Due tells whether there is anything to do now.
func (p Plan) Due() bool {
	return p.Status != nil || len(p.Deletes) > 0 || p.CreateService || len(p.Creates) > 0 ||
		p.DeleteJob || p.Gated
}

// Decide says what to do about a job.
func Decide(w World) Plan {
	job := w.Job
	if !job.DeletionTimestamp.IsZero() {
		return Plan{}
	}
	var decided Plan
	switch {
	case job.Status.Ended():
		decided = afterEnd(w)
	case job.Spec.RunPolicy.Suspend:
		decided = whileSuspended(w)
	default:
		decided = whileActive(w)
	}
	if equality.Semantic.DeepEqual(decided.Status, &job.Status) {
		decided.Status = nil
	}
	return decided
}

func whileActive(w World) Plan {
	job, now := w.Job, whole(w.Now)
	pods := inside(job, w.Pods)
	judged := judge(job, pods)
	status := job.Status.DeepCopy()
	status.ObservedGeneration = job.Generation
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.FinishedIndices = finishedIndices(job, pods)
	finished := int32(len(status.FinishedIndices))
	status.Restarts, status.CountedFailures = judged.restarts, judged.counted
	status.ReplicaStatuses = replicas(w.Pods, finished)

	left, bounded := activeLeft(job, status.StartTime.Time, w.Now)
	switch {
	case finished >= Nodes(job):
		return end(w, status, v1alpha1.Complete, "AllPodsSucceeded")
	case judged.ending != "":
		return end(w, status, v1alpha1.Failed, judged.ending)
	case bounded && left <= 0:
		return end(w, status, v1alpha1.Failed, "DeadlineExceeded")
	}

	running := len(judged.counted) == 0 && isRunning(job, pods, finished)
	restarting := !running && (judged.fresh > 0 || job.Status.IsTrue(v1alpha1.Restarting))
	if running && status.FirstRunningTime == nil {
		status.FirstRunningTime = &now
	}
	status.Conditions = told(status.Conditions, underWay(running, restarting), now)
	return Plan{
		Status:        status,
		Deletes:       slices.Concat(filter(pods, Pod.Failed), surplus(job, w.Pods)),
		CreateService: !w.ServicePresent,
		Creates:       missing(w, status.FinishedIndices),
		Gated:         count(pods, func(pod Pod) bool { return pod.Gated && pod.Active() }) > 0,
		WakeAfter:     left,
	}
}

func whileSuspended(w World) Plan {
	job := w.Job
	status := job.Status.DeepCopy()
	status.ObservedGeneration = job.Generation
	status.StartTime = nil
	status.FinishedIndices = nil
	status.CountedFailures = slices.DeleteFunc(status.CountedFailures, func(uid string) bool {
		return !slices.ContainsFunc(w.Pods, func(pod Pod) bool { return string(pod.UID) == uid })
	})
	status.ReplicaStatuses = replicas(w.Pods, 0)
	status.Conditions = told(status.Conditions, suspended(), whole(w.Now))
	return Plan{Status: status, Deletes: present(w.Pods), CreateService: !w.ServicePresent}
}

func end(w World, status *v1alpha1.MLTrainingJobStatus, kind, reason string) Plan {
	job, now := w.Job, whole(w.Now)
	status.CompletionTime = &now
	status.CountedFailures = nil
	status.CleanPodPolicy = job.Spec.RunPolicy.CleanPodPolicy
	status.Conditions = told(status.Conditions, over(kind, reason), now)
	ended := Plan{Status: status, Deletes: leftovers(status.CleanPodPolicy, w.Pods)}
	if ttl := job.Spec.RunPolicy.TTLSecondsAfterFinished; ttl != nil {
		ended.WakeAfter = max(time.Duration(*ttl)*time.Second, time.Millisecond)
	}
	return ended
}

func afterEnd(w World) Plan {
	job := w.Job
	status := job.Status.DeepCopy()
	status.ObservedGeneration = job.Generation
	live := replicas(w.Pods, 0)
	status.ReplicaStatuses.Active, status.ReplicaStatuses.Ready = live.Active, live.Ready
	ended := Plan{Status: status, Deletes: leftovers(status.CleanPodPolicy, w.Pods)}
	ttl := job.Spec.RunPolicy.TTLSecondsAfterFinished
	if ttl != nil && status.CompletionTime != nil {
		left := status.CompletionTime.Add(time.Duration(*ttl) * time.Second).Sub(w.Now)
		ended.DeleteJob = left <= 0
		ended.WakeAfter = max(left, 0)
	}
	return ended
}

// leftovers are the pods to delete after the end: all that are still active, and under All the rest too. None
// and Running agree: once a job is Complete, only pods that were scaled away can still be active, and once it
// Failed its active pods go in any case.
func leftovers(policy v1alpha1.CleanPodPolicy, pods []Pod) []Pod {
	return filter(present(pods), func(pod Pod) bool { return pod.Active() || policy == v1alpha1.CleanAll })
}

// activeLeft is how long the job may go on being active, if it has a deadline. Always computed from the
// status, never from a timer: a timer only decides when to look.
func activeLeft(job *v1alpha1.MLTrainingJob, start, now time.Time) (time.Duration, bool) {
	deadline := job.Spec.RunPolicy.ActiveDeadlineSeconds
	if deadline == nil {
		return 0, false
	}
	return start.Add(time.Duration(*deadline) * time.Second).Sub(now), true
}

func isRunning(job *v1alpha1.MLTrainingJob, pods []Pod, finished int32) bool {
	running := count(pods, Pod.Running)
	return running > 0 && running+finished >= Quorum(job)
}

func replicas(pods []Pod, finished int32) v1alpha1.ReplicaStatuses {
	here := present(pods)
	return v1alpha1.ReplicaStatuses{
		Active:    count(here, Pod.Active),
		Ready:     count(here, func(pod Pod) bool { return pod.Ready }),
		Succeeded: finished,
		Failed:    count(here, Pod.Failed),
	}
}

// whole is the moment as the API will store it.
func whole(moment time.Time) metav1.Time { return metav1.NewTime(moment.Truncate(time.Second)) }

// SameStatus tells whether two statuses are one and the same, whatever conditions others keep in them.
func SameStatus(a, b *v1alpha1.MLTrainingJobStatus) bool {
	return equality.Semantic.DeepEqual(ours(a), ours(b))
}

func ours(status *v1alpha1.MLTrainingJobStatus) *v1alpha1.MLTrainingJobStatus {
	own := status.DeepCopy()
	own.Conditions = slices.DeleteFunc(own.Conditions, func(c metav1.Condition) bool {
		return !slices.Contains(conditionTypes, c.Type)
	})
	return own
}
