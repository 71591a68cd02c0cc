// Package app puts the operator together.
package app

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/children"
	"mod201.dev/mltj-operator/internal/controller"
	"mod201.dev/mltj-operator/internal/election"
	"mod201.dev/mltj-operator/internal/telemetry"
	"mod201.dev/mltj-operator/internal/transport"
)

const (
	firstPause   = 250 * time.Millisecond
	longestPause = 3 * time.Second
	answerWithin = 10 * time.Second
	requestsPerS = 100
	stopWithin   = 5 * time.Second
)

// Config is what a Deployment decides.
type Config struct {
	Namespace     string
	Identity      string
	MetricsAddr   string
	ProbeAddr     string
	SweepInterval time.Duration
}

// ReadConfig reads the arguments and the environment of this process.
func ReadConfig(flags *flag.FlagSet, arguments []string, getenv func(string) string) (Config, error) {
	var config Config
	flags.StringVar(&config.MetricsAddr, "metrics-bind-address", ":8080", "where /metrics is served")
	flags.StringVar(&config.ProbeAddr, "health-probe-bind-address", ":8081", "where /healthz and /readyz are served")
	flags.DurationVar(&config.SweepInterval, "sweep-interval", 4*time.Second, "how often to look past the watches")
	if err := flags.Parse(arguments); err != nil {
		return Config{}, err
	}
	if config.SweepInterval <= 0 {
		return Config{}, fmt.Errorf("-sweep-interval: %s is no interval", config.SweepInterval)
	}
	config.Namespace = getenv("POD_NAMESPACE")
	if config.Namespace == "" {
		config.Namespace = "mltj-system"
	}
	config.Identity = getenv("POD_NAME")
	if config.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return Config{}, err
		}
		config.Identity = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	return config, nil
}

// Run runs the operator until the context ends. It returns an error when the lease was lost: the process has to
// end then.
func Run(ctx context.Context, kubeconfig *rest.Config, config Config) error {
	mgr, err := build(kubeconfig, config)
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func build(kubeconfig *rest.Config, config Config) (ctrl.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	fence := transport.NewFence(election.Window)
	connection := connect(kubeconfig, fence)
	lock, err := election.NewLock(connection, config.Namespace, telemetry.Component, config.Identity, fence)
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	ours, err := labels.NewRequirement(children.JobLabel, selection.Exists, nil)
	if err != nil {
		return nil, err
	}
	children := cache.ByObject{Label: labels.NewSelector().Add(*ours)}
	mgr, err := ctrl.NewManager(connection, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: children, &corev1.Service{}: children},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Metrics:                             metricsserver.Options{BindAddress: config.MetricsAddr},
		HealthProbeBindAddress:              config.ProbeAddr,
		LeaderElection:                      true,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       ptr.To(election.Duration),
		RenewDeadline:                       ptr.To(election.Renew),
		RetryPeriod:                         ptr.To(election.Retry),
		GracefulShutdownTimeout:             ptr.To(stopWithin),
	})
	if err != nil {
		return nil, err
	}
	counted, err := client.New(counting(connection), client.Options{Scheme: scheme, Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, err
	}
	counters, err := telemetry.NewMetrics(metrics.Registry, listFrom(counted))
	if err != nil {
		return nil, err
	}
	reconciler := &controller.Reconciler{
		Client:   mgr.GetClient(),
		Live:     mgr.GetAPIReader(),
		Metrics:  counters,
		Reporter: &telemetry.Reporter{Client: mgr.GetClient(), Instance: config.Identity},
	}
	if err := controller.SetUp(mgr, reconciler, config.SweepInterval); err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("ping", healthz.Ping)
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// connect prepares the connection that all clients of this process share.
func connect(kubeconfig *rest.Config, fence *transport.Fence) *rest.Config {
	connection := rest.CopyConfig(kubeconfig)
	connection.UserAgent = telemetry.Component
	// Built-in kinds are shorter in protobuf.
	connection.ContentType = runtime.ContentTypeProtobuf
	connection.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	connection.QPS, connection.Burst = requestsPerS, requestsPerS
	// The fence is asked last, after all waiting is done.
	connection.Wrap(fence.Wrap)
	connection.Wrap(transport.NewPatience(firstPause, longestPause, answerWithin).Wrap)
	return connection
}

// counting prepares the connection that jobs are counted through: all of them at each scrape, so in the shortest form.
func counting(connection *rest.Config) *rest.Config {
	brief := rest.CopyConfig(connection)
	brief.AcceptContentTypes = runtime.ContentTypeProtobuf
	return brief
}

func listFrom(reader client.Reader) telemetry.Jobs {
	return func(ctx context.Context) ([]v1alpha1.MLTrainingJob, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var jobs v1alpha1.MLTrainingJobList
		err := reader.List(ctx, &jobs)
		return jobs.Items, err
	}
}
