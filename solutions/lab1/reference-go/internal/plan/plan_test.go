package plan_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/jobtest"
	"mod201.dev/mltj-operator/internal/plan"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 700_000_000, time.UTC)

const (
	pending   = corev1.PodPending
	running   = corev1.PodRunning
	succeeded = corev1.PodSucceeded
	failed    = corev1.PodFailed
)

func world(job *v1alpha1.MLTrainingJob, pods ...*corev1.Pod) plan.World {
	w := plan.World{Job: job, ServicePresent: true, Now: noon}
	for _, pod := range pods {
		w.Pods = append(w.Pods, plan.ReadPod(pod, job.Name))
	}
	return w
}

// follow writes the status that a plan wants.
func follow(job *v1alpha1.MLTrainingJob, decided plan.Plan) {
	if decided.Status != nil {
		job.Status = *decided.Status
	}
}

// visited is a job after its first visit.
func visited(nodes int32, changes ...func(*v1alpha1.MLTrainingJob)) *v1alpha1.MLTrainingJob {
	job := jobtest.Job(nodes, changes...)
	follow(job, plan.Decide(world(job)))
	return job
}

func names(pods []plan.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Name)
	}
	return all
}

func wantSame[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantTrue(t *testing.T, status *v1alpha1.MLTrainingJobStatus, kinds ...string) {
	t.Helper()
	if status == nil {
		t.Fatal("the status is left as it is")
	}
	if len(status.Conditions) < 6 {
		t.Errorf("got %d conditions, want all six", len(status.Conditions))
	}
	for _, condition := range status.Conditions {
		want := slices.Contains(append(kinds, v1alpha1.Created), condition.Type)
		if got := condition.Status == metav1.ConditionTrue; got != want {
			t.Errorf("%s: got %v, want %v", condition.Type, got, want)
		}
	}
}

func TestFirstVisit(t *testing.T) {
	job := jobtest.Job(3)
	w := world(job)
	w.ServicePresent = false
	decided := plan.Decide(w)
	wantTrue(t, decided.Status)
	wantSame(t, "creates", decided.Creates, []int32{0, 1, 2})
	if !decided.CreateService {
		t.Error("the Service is not created")
	}
	if got := decided.Status.StartTime.UTC(); got != noon.Truncate(time.Second) {
		t.Errorf("startTime is %v", got)
	}
	if decided.Status.ObservedGeneration != 1 {
		t.Error("observedGeneration is not the generation")
	}
}

func TestASettledJobWantsNothing(t *testing.T) {
	job := visited(2)
	pods := []*corev1.Pod{jobtest.Pod(job, "train-0", running), jobtest.Pod(job, "train-1", running)}
	follow(job, plan.Decide(world(job, pods...)))
	wantTrue(t, &job.Status, v1alpha1.Running)
	if decided := plan.Decide(world(job, pods...)); decided.Due() {
		t.Errorf("something is due: %+v", decided)
	}
}

func TestForeignConditionsStayWhereTheyAre(t *testing.T) {
	foreign := metav1.Condition{Type: "Audited", Status: metav1.ConditionTrue, Reason: "Audit"}
	job := jobtest.Job(1)
	job.Status.Conditions = []metav1.Condition{foreign}
	decided := plan.Decide(world(job))
	if decided.Status.Conditions[0] != foreign || len(decided.Status.Conditions) != 7 {
		t.Errorf("got %v", decided.Status.Conditions)
	}
}

func TestAFailureIsCountedOnceThenDeletedThenReplaced(t *testing.T) {
	job := visited(1)
	pod := jobtest.Exited(jobtest.Pod(job, "train-0", failed), 137)
	first := plan.Decide(world(job, pod))
	wantTrue(t, first.Status, v1alpha1.Restarting)
	if first.Status.Restarts != 1 || !slices.Equal(first.Status.CountedFailures, []string{string(pod.UID)}) {
		t.Errorf("not counted by UID: %+v", first.Status)
	}
	wantSame(t, "deletes", names(first.Deletes), []string{"train-0"})
	wantSame(t, "creates", first.Creates, nil)

	follow(job, first)
	again := plan.Decide(world(job, pod))
	if again.Status != nil {
		t.Errorf("counted again: %+v", again.Status)
	}
	wantSame(t, "deletes after a crash", names(again.Deletes), []string{"train-0"})

	gone := plan.Decide(world(job))
	wantSame(t, "creates", gone.Creates, []int32{0})
	if gone.Status.Restarts != 1 || gone.Status.CountedFailures != nil {
		t.Errorf("got %+v", gone.Status)
	}
}

func TestHowFailuresEndAJob(t *testing.T) {
	limit := func(n int32) func(*v1alpha1.MLTrainingJob) {
		return func(job *v1alpha1.MLTrainingJob) { job.Spec.RunPolicy.BackoffLimit = &n }
	}
	policy := func(p v1alpha1.RestartPolicy) func(*v1alpha1.MLTrainingJob) {
		return func(job *v1alpha1.MLTrainingJob) { job.Spec.Trainer.RestartPolicy = p }
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.MLTrainingJob)
		codes  []int32
		reason string
	}{
		"one under the limit":         {limit(1), []int32{1}, ""},
		"two at once over the limit":  {limit(1), []int32{1, 1}, "BackoffLimitExceeded"},
		"no limit was set":            {func(j *v1alpha1.MLTrainingJob) { j.Spec.RunPolicy.BackoffLimit = nil }, []int32{1}, ""},
		"Never":                       {policy(v1alpha1.RestartNever), []int32{137}, "PodFailed"},
		"a permanent code":            {policy(v1alpha1.RestartExitCode), []int32{127}, "PermanentExitCode"},
		"a signal":                    {policy(v1alpha1.RestartExitCode), []int32{128}, ""},
		"no code":                     {policy(v1alpha1.RestartExitCode), []int32{0}, ""},
		"OnFailure looks at no codes": {policy(v1alpha1.RestartOnFailure), []int32{1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			job := visited(4, c.change)
			var pods []*corev1.Pod
			for i, code := range c.codes {
				pods = append(pods, jobtest.Exited(jobtest.Pod(job, plan.PodName("train", int32(i)), failed), code))
			}
			pods = append(pods, jobtest.Pod(job, "train-3", running))
			decided := plan.Decide(world(job, pods...))
			if c.reason == "" {
				wantTrue(t, decided.Status, v1alpha1.Restarting)
				return
			}
			wantTrue(t, decided.Status, v1alpha1.Failed)
			wantSame(t, "deletes", names(decided.Deletes), []string{"train-3"})
			at := slices.IndexFunc(decided.Status.Conditions, func(c metav1.Condition) bool { return c.Type == v1alpha1.Failed })
			if got := decided.Status.Conditions[at].Reason; got != c.reason {
				t.Errorf("reason %s, want %s", got, c.reason)
			}
			if decided.Status.CompletionTime == nil || decided.Status.Restarts != 0 {
				t.Errorf("got %+v", decided.Status)
			}
		})
	}
}

func TestEvictedAndTerminatingPodsAreNotCounted(t *testing.T) {
	job := visited(3)
	evicted := jobtest.Pod(job, "train-0", failed)
	evicted.Status.Reason = "Evicted"
	disrupted := jobtest.Pod(job, "train-1", failed)
	disrupted.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
	going := jobtest.Pod(job, "train-2", failed)
	going.DeletionTimestamp = &metav1.Time{Time: noon}
	decided := plan.Decide(world(job, evicted, disrupted, going))
	if decided.Status.Restarts != 0 {
		t.Errorf("restarts is %d", decided.Status.Restarts)
	}
	wantSame(t, "deletes", names(decided.Deletes), []string{"train-0", "train-1"})
}

func TestCompletion(t *testing.T) {
	job := visited(2)
	follow(job, plan.Decide(world(job, jobtest.Pod(job, "train-0", succeeded), jobtest.Pod(job, "train-1", running))))
	wantTrue(t, &job.Status, v1alpha1.Running)
	// The pod of the finished index is gone: it stays finished.
	decided := plan.Decide(world(job, jobtest.Pod(job, "train-1", succeeded)))
	wantTrue(t, decided.Status, v1alpha1.Complete)
	if decided.Status.ReplicaStatuses.Succeeded != 2 {
		t.Errorf("got %+v", decided.Status.ReplicaStatuses)
	}
	follow(job, decided)
	job.Generation, job.Spec.RunPolicy.Suspend = 2, true
	after := plan.Decide(world(job))
	wantTrue(t, after.Status, v1alpha1.Complete)
	if after.Status.ObservedGeneration != 2 || len(after.Creates) > 0 {
		t.Errorf("got %+v", after)
	}
}

func TestCleanPodPolicy(t *testing.T) {
	for policy, want := range map[v1alpha1.CleanPodPolicy][]string{
		v1alpha1.CleanNone: {"train-5"}, v1alpha1.CleanRunning: {"train-5"}, v1alpha1.CleanAll: {"train-0", "train-5"},
	} {
		job := visited(1, func(job *v1alpha1.MLTrainingJob) { job.Spec.RunPolicy.CleanPodPolicy = policy })
		pods := []*corev1.Pod{jobtest.Pod(job, "train-0", succeeded), jobtest.Pod(job, "train-5", running)}
		wantSame(t, string(policy), names(plan.Decide(world(job, pods...)).Deletes), want)
	}
}

func TestScaling(t *testing.T) {
	job := visited(4)
	job.Spec.Trainer.NumNodes = 2
	var pods []*corev1.Pod
	for i := range int32(4) {
		pods = append(pods, jobtest.Pod(job, plan.PodName("train", i), running))
	}
	pods = append(pods, jobtest.Pod(job, "train-007", running))
	decided := plan.Decide(world(job, pods...))
	wantSame(t, "deletes", names(decided.Deletes), []string{"train-3", "train-2", "train-007"})
}

func TestNamesThatAreTakenAreWaitedFor(t *testing.T) {
	job := visited(2)
	w := world(job)
	w.Taken = []string{"train-0"}
	wantSame(t, "creates", plan.Decide(w).Creates, []int32{1})
}

func TestAHugeJobIsCreatedInParts(t *testing.T) {
	job := visited(2_000_000_000)
	if got := len(plan.Decide(world(job)).Creates); got != 500 {
		t.Errorf("%d creates in one visit", got)
	}
}

func TestSuspend(t *testing.T) {
	job := visited(2)
	pods := []*corev1.Pod{jobtest.Pod(job, "train-0", running), jobtest.Pod(job, "train-1", succeeded)}
	follow(job, plan.Decide(world(job, pods...)))
	job.Spec.RunPolicy.Suspend = true
	decided := plan.Decide(world(job, pods...))
	wantTrue(t, decided.Status, v1alpha1.Suspended)
	wantSame(t, "deletes", names(decided.Deletes), []string{"train-0", "train-1"})
	if decided.Status.StartTime != nil || decided.Status.FinishedIndices != nil {
		t.Errorf("got %+v", decided.Status)
	}
	follow(job, decided)
	job.Spec.RunPolicy.Suspend = false
	resumed := plan.Decide(world(job))
	wantSame(t, "creates", resumed.Creates, []int32{0, 1})
	if resumed.Status.StartTime == nil {
		t.Error("no new startTime")
	}
}

func TestDeadline(t *testing.T) {
	job := visited(1, func(job *v1alpha1.MLTrainingJob) { job.Spec.RunPolicy.ActiveDeadlineSeconds = ptr.To[int64](5) })
	w := world(job, jobtest.Pod(job, "train-0", running))
	if left := plan.Decide(w).WakeAfter; left <= 4*time.Second || left > 5*time.Second {
		t.Errorf("looks again after %v", left)
	}
	w.Now = job.Status.StartTime.Add(5 * time.Second)
	decided := plan.Decide(w)
	wantTrue(t, decided.Status, v1alpha1.Failed)
	wantSame(t, "deletes", names(decided.Deletes), []string{"train-0"})
}

func TestTimeToLive(t *testing.T) {
	job := visited(1, func(job *v1alpha1.MLTrainingJob) { job.Spec.RunPolicy.TTLSecondsAfterFinished = ptr.To[int32](5) })
	w := world(job, jobtest.Pod(job, "train-0", succeeded))
	end := plan.Decide(w)
	if end.WakeAfter != 5*time.Second {
		t.Errorf("looks again after %v", end.WakeAfter)
	}
	follow(job, end)
	if early := plan.Decide(w); early.DeleteJob || early.WakeAfter <= 4*time.Second {
		t.Errorf("got %+v", early)
	}
	w.Now = noon.Add(5 * time.Second)
	if !plan.Decide(w).DeleteJob {
		t.Error("the job stays")
	}
}

func TestAJobThatGoesIsLeftAlone(t *testing.T) {
	job := jobtest.Job(2, func(job *v1alpha1.MLTrainingJob) { job.DeletionTimestamp = &metav1.Time{Time: noon} })
	if plan.Decide(world(job)).Due() {
		t.Error("something is due")
	}
}

func TestAGangRunsWithItsQuorum(t *testing.T) {
	job := visited(3, func(job *v1alpha1.MLTrainingJob) { job.Spec.RunPolicy.SchedulingPolicy.MinAvailable = 2 })
	gated := jobtest.Pod(job, "train-2", pending)
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: plan.GangGate}}
	decided := plan.Decide(world(job, jobtest.Pod(job, "train-0", running), jobtest.Pod(job, "train-1", running), gated))
	wantTrue(t, decided.Status, v1alpha1.Running)
	if !decided.Gated {
		t.Error("the waiting pod is forgotten")
	}
	if !plan.Gang(job) || plan.Gang(jobtest.Job(1)) || plan.Quorum(jobtest.Job(3)) != 3 {
		t.Error("quorum")
	}
}

func TestSameStatusLooksAtOurConditionsOnly(t *testing.T) {
	job := visited(1)
	other := job.Status.DeepCopy()
	other.Conditions = append(other.Conditions, metav1.Condition{Type: "Audited"})
	if !plan.SameStatus(&job.Status, other) {
		t.Error("a foreign condition makes a difference")
	}
	other.Restarts = 1
	if plan.SameStatus(&job.Status, other) {
		t.Error("restarts make none")
	}
}
