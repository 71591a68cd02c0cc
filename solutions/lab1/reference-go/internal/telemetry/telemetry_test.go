package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/jobtest"
	"mod201.dev/mltj-operator/internal/telemetry"
)

func saying(kinds ...string) *v1alpha1.MLTrainingJobStatus {
	status := &v1alpha1.MLTrainingJobStatus{}
	for _, kind := range kinds {
		status.Conditions = append(status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue})
	}
	return status
}

func TestTransitions(t *testing.T) {
	before, after := saying(v1alpha1.Suspended), saying(v1alpha1.Created, v1alpha1.Running)
	start := metav1.NewTime(time.Unix(100, 0))
	first := metav1.NewTime(time.Unix(103, 0))
	after.StartTime, after.FirstRunningTime, after.Restarts = &start, &first, 2
	got := telemetry.Between(before, after)
	if !got.Created || !got.Running || !got.Resumed || got.Restarts != 2 || got.Complete || got.Failed || got.Suspended {
		t.Errorf("got %+v", got)
	}
	if got.StartLatency == nil || *got.StartLatency != 3*time.Second {
		t.Errorf("latency %v", got.StartLatency)
	}
	if again := telemetry.Between(after, after); again != (telemetry.Transitions{}) {
		t.Errorf("nothing changed, and yet %+v", again)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	jobs := []v1alpha1.MLTrainingJob{{}, {Status: *saying(v1alpha1.Complete)}, {Status: *saying(v1alpha1.Running)}}
	metrics, err := telemetry.NewMetrics(registry, func(context.Context) ([]v1alpha1.MLTrainingJob, error) {
		return jobs, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	second := time.Second
	metrics.Record("team", telemetry.Transitions{Created: true, Restarts: 2, StartLatency: &second})
	metrics.Record("team", telemetry.Transitions{Complete: true})
	metrics.Record("team", telemetry.Transitions{Failed: true})
	want := `
# HELP mltrainingjob_jobs_active Jobs that are neither complete nor failed.
# TYPE mltrainingjob_jobs_active gauge
mltrainingjob_jobs_active 2
# HELP mltrainingjob_jobs_created_total Jobs whose first status was written.
# TYPE mltrainingjob_jobs_created_total counter
mltrainingjob_jobs_created_total{namespace="team"} 1
# HELP mltrainingjob_jobs_restarted_total Pods re-created after a failure.
# TYPE mltrainingjob_jobs_restarted_total counter
mltrainingjob_jobs_restarted_total{namespace="team"} 2
`
	err = testutil.GatherAndCompare(registry, strings.NewReader(want),
		"mltrainingjob_jobs_active", "mltrainingjob_jobs_created_total", "mltrainingjob_jobs_restarted_total")
	if err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	if _, err := telemetry.NewMetrics(registry, nil); err == nil {
		t.Error("registered twice")
	}
}

func TestWithoutACacheNothingIsActive(t *testing.T) {
	registry := prometheus.NewRegistry()
	_, err := telemetry.NewMetrics(registry, func(context.Context) ([]v1alpha1.MLTrainingJob, error) {
		return nil, errors.New("not started")
	})
	if err != nil {
		t.Fatal(err)
	}
	if count, err := testutil.GatherAndCount(registry, "mltrainingjob_jobs_active"); err != nil || count != 1 {
		t.Errorf("%d series, %v", count, err)
	}
}

func newClient(t *testing.T, create func(calls int) error) (client.Client, *int) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	calls := 0
	return fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, next client.WithWatch, object client.Object, options ...client.CreateOption) error {
			calls++
			if err := create(calls); err != nil {
				return err
			}
			return next.Create(ctx, object, options...)
		},
	}).Build(), &calls
}

func TestEachTransitionIsToldOnce(t *testing.T) {
	api, _ := newClient(t, func(int) error { return nil })
	reporter := &telemetry.Reporter{Client: api, Instance: "me"}
	happened := telemetry.Transitions{
		Created: true, Running: true, Suspended: true, Resumed: true, Complete: true, Failed: true, Restarts: 3,
	}
	reporter.Tell(t.Context(), jobtest.Job(1), happened)
	reporter.Tell(t.Context(), jobtest.Job(1), happened)
	var events corev1.EventList
	if err := api.List(t.Context(), &events); err != nil || len(events.Items) != 7 {
		t.Fatalf("%d events, %v", len(events.Items), err)
	}
	for _, event := range events.Items {
		if event.InvolvedObject.UID != "job-uid" || event.ReportingInstance != "me" {
			t.Errorf("got %+v", event)
		}
		if event.Reason == "Restarting" && event.Count != 3 {
			t.Errorf("three restarts are told as %d", event.Count)
		}
	}
}

func TestEventsAreTriedAgainUnlessRefused(t *testing.T) {
	lost := errors.New("connection reset")
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "x", nil)
	for _, c := range []struct {
		err  error
		want int
	}{{lost, 3}, {refused, 1}} {
		api, calls := newClient(t, func(int) error { return c.err })
		(&telemetry.Reporter{Client: api}).Tell(t.Context(), jobtest.Job(1), telemetry.Transitions{Created: true})
		if *calls != c.want {
			t.Errorf("%v: %d tries", c.err, *calls)
		}
	}
}
