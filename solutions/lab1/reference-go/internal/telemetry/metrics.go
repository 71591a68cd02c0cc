package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// Jobs lists the jobs there are, from a cache: it is asked at each scrape.
type Jobs func(ctx context.Context) ([]v1alpha1.MLTrainingJob, error)

// Metrics are the operator's own metrics. Counters move when a status write has succeeded, and by what it changed.
type Metrics struct {
	created, successful, failed, restarted *prometheus.CounterVec
	latency                                prometheus.Histogram
}

// NewMetrics registers the metrics; the gauge is computed from jobs, so it is right after a restart too.
func NewMetrics(registry prometheus.Registerer, jobs Jobs) (*Metrics, error) {
	m := &Metrics{
		created:    counter("created", "Jobs whose first status was written."),
		successful: counter("successful", "Jobs that completed."),
		failed:     counter("failed", "Jobs that failed."),
		restarted:  counter("restarted", "Pods re-created after a failure."),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mltrainingjob_start_latency_seconds",
			Help:    "Time from a job's start to the first time it was running.",
			Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800},
		}),
	}
	active := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mltrainingjob_jobs_active",
		Help: "Jobs that are neither complete nor failed.",
	}, func() float64 { return countActive(jobs) })
	for _, collector := range []prometheus.Collector{
		m.created, m.successful, m.failed, m.restarted, m.latency, active,
	} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Record counts what a successful status write changed.
func (m *Metrics) Record(namespace string, happened Transitions) {
	if happened.Created {
		m.created.WithLabelValues(namespace).Inc()
	}
	if happened.Complete {
		m.successful.WithLabelValues(namespace).Inc()
	}
	if happened.Failed {
		m.failed.WithLabelValues(namespace).Inc()
	}
	if happened.Restarts > 0 {
		m.restarted.WithLabelValues(namespace).Add(float64(happened.Restarts))
	}
	if happened.StartLatency != nil {
		m.latency.Observe(happened.StartLatency.Seconds())
	}
}

func counter(what, help string) *prometheus.CounterVec {
	options := prometheus.CounterOpts{Name: "mltrainingjob_jobs_" + what + "_total", Help: help}
	return prometheus.NewCounterVec(options, []string{"namespace"})
}

func countActive(jobs Jobs) float64 {
	listed, err := jobs(context.Background())
	if err != nil {
		return 0 // the cache is not up yet: a replica that stands by has no jobs
	}
	active := 0
	for i := range listed {
		if !listed[i].Status.Ended() {
			active++
		}
	}
	return float64(active)
}
