package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/children"
	"mod201.dev/mltj-operator/internal/jobtest"
	"mod201.dev/mltj-operator/internal/plan"
	"mod201.dev/mltj-operator/internal/telemetry"
	"mod201.dev/mltj-operator/internal/transport"
)

// cluster is an API server in memory and an operator on it. Before a write, upset may refuse it; after it, swallow
// may lose the answer.
type cluster struct {
	*testing.T
	api      client.WithWatch
	operator *Reconciler
	registry *prometheus.Registry
	writes   []string
	upset    func(write string) error
	swallow  func(write string) error
}

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, registry: prometheus.NewRegistry()}
	c.upset = func(string) error { return nil }
	c.swallow = c.upset
	c.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.MLTrainingJob{}).Build()
	writing := interceptor.NewClient(c.api, interceptor.Funcs{
		Create: func(ctx context.Context, next client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			o.SetUID(uuid.NewUUID()) // a real API server does
			return c.write("create "+kindOf(o)+" "+o.GetName(), func() error { return next.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, next client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return c.write("delete "+kindOf(o)+" "+o.GetName(), func() error { return next.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, next client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return c.write("patch "+kindOf(o)+" "+o.GetName(), func() error { return next.Patch(ctx, o, p, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, next client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return c.write("patch status", func() error { return next.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
	metrics, err := telemetry.NewMetrics(c.registry, func(context.Context) ([]v1alpha1.MLTrainingJob, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	c.operator = &Reconciler{
		Client: writing, Live: c.api, Metrics: metrics,
		Reporter: &telemetry.Reporter{Client: c.api, Instance: "me"},
	}
	return c
}

func kindOf(object client.Object) string {
	switch object.(type) {
	case *corev1.Pod:
		return "pod"
	case *corev1.Service:
		return "service"
	}
	return "job"
}

func (c *cluster) write(what string, carryOut func() error) error {
	if err := c.upset(what); err != nil {
		return err
	}
	if err := carryOut(); err != nil {
		return err
	}
	c.writes = append(c.writes, what)
	return c.swallow(what)
}

func (c *cluster) visit() (ctrl.Result, error) {
	c.Helper()
	c.writes = nil
	key := client.ObjectKey{Namespace: "team", Name: "train"}
	return c.operator.Reconcile(c.Context(), ctrl.Request{NamespacedName: key})
}

func (c *cluster) mustVisit() ctrl.Result {
	c.Helper()
	result, err := c.visit()
	if err != nil {
		c.Fatal(err)
	}
	return result
}

func (c *cluster) job() *v1alpha1.MLTrainingJob {
	c.Helper()
	job := &v1alpha1.MLTrainingJob{}
	if err := c.api.Get(c.Context(), client.ObjectKey{Namespace: "team", Name: "train"}, job); err != nil {
		c.Fatal(err)
	}
	return job
}

func (c *cluster) become(name string, phase corev1.PodPhase) {
	c.Helper()
	pod := &corev1.Pod{}
	if err := c.api.Get(c.Context(), client.ObjectKey{Namespace: "team", Name: name}, pod); err != nil {
		c.Fatal(err)
	}
	pod.Status.Phase = phase
	if err := c.api.Status().Update(c.Context(), pod); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) wantWrites(want ...string) {
	c.Helper()
	if !slices.Equal(c.writes, want) {
		c.Errorf("writes: got %v, want %v", c.writes, want)
	}
}

func (c *cluster) count(metric string) float64 {
	c.Helper()
	families, err := c.registry.Gather()
	if err != nil {
		c.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == metric {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

func TestAJobFromItsFirstVisitToItsEnd(t *testing.T) {
	c := newCluster(t, jobtest.Job(2))
	c.mustVisit()
	c.wantWrites("patch status", "create service train", "create pod train-0", "create pod train-1")
	c.mustVisit() // replicaStatuses
	c.wantWrites("patch status")
	c.mustVisit()
	c.wantWrites()
	c.become("train-0", corev1.PodFailed)
	c.mustVisit()
	c.wantWrites("patch status", "delete pod train-0")
	c.mustVisit()
	c.wantWrites("patch status", "create pod train-0")
	c.become("train-0", corev1.PodSucceeded)
	c.become("train-1", corev1.PodSucceeded)
	c.mustVisit()
	if status := c.job().Status; !status.IsTrue(v1alpha1.Complete) || status.Restarts != 1 {
		t.Errorf("got %+v", status)
	}
	for metric, want := range map[string]float64{
		"mltrainingjob_jobs_created_total": 1, "mltrainingjob_jobs_restarted_total": 1,
		"mltrainingjob_jobs_successful_total": 1, "mltrainingjob_jobs_failed_total": 0,
	} {
		if got := c.count(metric); got != want {
			t.Errorf("%s is %v", metric, got)
		}
	}
	if problems, err := testutil.GatherAndLint(c.registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// TestDyingAtAnyWrite lets every write in turn be the last one of its process, with its answer and without.
func TestDyingAtAnyWrite(t *testing.T) {
	died := errors.New("killed")
	for _, swallowed := range []bool{false, true} {
		for last := 1; ; last++ {
			c := newCluster(t, jobtest.Job(2))
			var all []string
			dead, writes := false, 0
			c.swallow = func(write string) error {
				all = append(all, write)
				if writes++; writes == last {
					dead = true
					if swallowed {
						return died
					}
				}
				return nil
			}
			c.upset = func(string) error {
				if dead {
					return died
				}
				return nil
			}
			live := func(steps int) {
				for range steps {
					_, _ = c.visit()
					dead = false // the next process
				}
			}
			live(4)
			c.become("train-1", corev1.PodFailed)
			live(6)
			pods := slices.DeleteFunc(slices.Clone(all), func(write string) bool { return strings.HasPrefix(write, "patch") })
			slices.Sort(pods)
			want := []string{
				"create pod train-0", "create pod train-1", "create pod train-1", "create service train", "delete pod train-1",
			}
			if !slices.Equal(pods, want) || c.job().Status.Restarts != 1 {
				t.Errorf("dead after write %d (swallowed: %v): %v, %+v", last, swallowed, pods, c.job().Status)
			}
			if last >= writes {
				break
			}
		}
	}
}

func TestASwallowedStatusWriteIsCountedAllTheSame(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	c.swallow = func(write string) error {
		if write == "patch status" {
			return errors.New("connection reset by peer")
		}
		return nil
	}
	c.mustVisit()
	if got := c.count("mltrainingjob_jobs_created_total"); got != 1 {
		t.Errorf("created is %v", got)
	}
}

func TestARefusedStatusWriteIsNotCounted(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	c.upset = func(string) error {
		return apierrors.NewConflict(schema.GroupResource{}, "train", errors.New("changed"))
	}
	if _, err := c.visit(); !apierrors.IsConflict(err) {
		t.Errorf("got %v", err)
	}
	if got := c.count("mltrainingjob_jobs_created_total"); got != 0 {
		t.Errorf("created is %v", got)
	}
}

func TestWhatOthersWriteMeanwhileSurvives(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	meddled := false
	c.upset = func(write string) error {
		if write != "patch status" || meddled {
			return nil
		}
		meddled = true
		job := c.job()
		job.Labels = map[string]string{"theirs": "yes"}
		if err := c.api.Update(c.Context(), job); err != nil {
			return err
		}
		job.Status.Conditions = []metav1.Condition{{Type: "Audited", Status: metav1.ConditionTrue, Reason: "Audit"}}
		return c.api.Status().Update(c.Context(), job)
	}
	if _, err := c.visit(); !apierrors.IsConflict(err) {
		t.Errorf("got %v", err)
	}
	c.mustVisit()
	job := c.job()
	if job.Labels["theirs"] != "yes" || !job.Status.IsTrue("Audited") || !job.Status.IsTrue(v1alpha1.Created) {
		t.Errorf("got %+v", job)
	}
}

func TestAStaleCacheCausesNoWrite(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	c.mustVisit()
	c.mustVisit()
	// The cache has seen the job, and none of its pods yet.
	c.operator.Client = interceptor.NewClient(c.operator.Client.(client.WithWatch), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
	})
	c.mustVisit()
	c.wantWrites()
}

func TestForeignPodsAreLeftAloneAndWaitedFor(t *testing.T) {
	stranger := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "train-0", UID: "stranger"}}
	c := newCluster(t, jobtest.Job(2), stranger)
	if result := c.mustVisit(); result.RequeueAfter != nameTakenRetry {
		t.Errorf("looks again after %v", result.RequeueAfter)
	}
	c.wantWrites("patch status", "create service train", "create pod train-1")
}

func TestAReplicaThatDoesNotLeadLetsGo(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	c.upset = func(string) error { return transport.ErrNotLeading }
	if _, err := c.visit(); !errors.Is(err, transport.ErrNotLeading) {
		t.Errorf("got %v", err)
	}
}

func TestABadTemplateIsNoReasonToHurry(t *testing.T) {
	c := newCluster(t, jobtest.Job(1, func(job *v1alpha1.MLTrainingJob) {
		job.Spec.Trainer.Template.Raw = []byte(`{"spec": {"containers": 7}}`)
	}))
	if result := c.mustVisit(); result.RequeueAfter != badTemplateRetry {
		t.Errorf("looks again after %v", result.RequeueAfter)
	}
}

func TestAJobWhoseTimeIsUpGoes(t *testing.T) {
	c := newCluster(t, jobtest.Job(1, func(job *v1alpha1.MLTrainingJob) {
		job.Spec.RunPolicy.TTLSecondsAfterFinished = ptr.To[int32](0)
	}))
	c.mustVisit()
	c.become("train-0", corev1.PodSucceeded)
	c.mustVisit()
	c.mustVisit()
	c.wantWrites("delete job train")
	if result := c.mustVisit(); result != (ctrl.Result{}) {
		t.Errorf("a job that is gone: %+v", result)
	}
}

func TestPodsAreNotCreatedForAJobThatChanged(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	job := c.job()
	if err := c.operator.expectUnchanged(t.Context(), job); err != nil {
		t.Error(err)
	}
	job.UID = "another"
	if err := c.operator.expectUnchanged(t.Context(), job); !errors.Is(err, errChanged) {
		t.Errorf("got %v", err)
	}
}

func TestAGangIsLetGoWhenItFits(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}
	c := newCluster(t, node, jobtest.Job(2, func(job *v1alpha1.MLTrainingJob) {
		job.Spec.RunPolicy.SchedulingPolicy.MinAvailable = 2
	}))
	c.mustVisit()
	if result := c.mustVisit(); result.RequeueAfter != gatedRetry {
		t.Errorf("looks again after %v", result.RequeueAfter)
	}
	c.wantWrites("patch status")
	node.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("2")
	if err := c.api.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	c.mustVisit()
	c.wantWrites("patch pod train-0", "patch pod train-1")
}

func TestTheSweepFindsWhatNoWatchTold(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	found := make(chan event.GenericEvent, 10)
	sweeper := &Sweeper{Live: c.api, Every: time.Millisecond, Found: into(found)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sweeper.Start(ctx) }()
	if job := (<-found).Object; job.GetName() != "train" {
		t.Errorf("found %v", job)
	}
	cancel()
	if err := <-ended; err != nil || !sweeper.NeedLeaderElection() {
		t.Error(err)
	}
}

func TestTheSweepLeavesJobsAtRest(t *testing.T) {
	c := newCluster(t, jobtest.Job(1))
	for range 3 {
		c.mustVisit()
	}
	found := 0
	sweeper := &Sweeper{Live: c.api, Found: func(context.Context, *v1alpha1.MLTrainingJob) { found++ }}
	if err := sweeper.sweep(t.Context()); err != nil || found != 0 {
		t.Errorf("found %d, %v", found, err)
	}
}

func TestOwnershipIsByUID(t *testing.T) {
	job := jobtest.Job(1)
	old := jobtest.Pod(jobtest.Job(1, func(job *v1alpha1.MLTrainingJob) { job.UID = "old" }), "train-0", corev1.PodRunning)
	world := worldOf(job, []corev1.Pod{*old}, true, time.Now())
	if len(world.Pods) != 0 || !slices.Equal(world.Taken, []string{"train-0"}) {
		t.Errorf("got %+v", world)
	}
	if old.Labels[children.JobLabel] != "train" || plan.PodName("train", 0) != old.Name {
		t.Error("the pod looks different from the job's own")
	}
}
