package main

import (
	"context"
	"fmt"
	"time"

	log "github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	commitclient "github.com/argoproj/argo-cd/v3/commitserver/apiclient"
	"github.com/argoproj/argo-cd/v3/controller"
	"github.com/argoproj/argo-cd/v3/controller/sharding"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	appclientset "github.com/argoproj/argo-cd/v3/pkg/client/clientset/versioned"
	"github.com/argoproj/argo-cd/v3/pkg/ratelimiter"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/util/argo"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	cacheutil "github.com/argoproj/argo-cd/v3/util/cache"
	appstatecache "github.com/argoproj/argo-cd/v3/util/cache/appstate"
	"github.com/argoproj/argo-cd/v3/util/cli"
	kubeutil "github.com/argoproj/argo-cd/v3/util/kube"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"github.com/argoproj/argo-cd/v3/util/tls"
)

// Argo CD's own command serves metrics on all addresses, and there is no flag against it; so here is one that
// makes the same controller, with what the lab sets and Argo CD's defaults for the rest.
func newController() *cobra.Command {
	var (
		clientConfig clientcmd.ClientConfig
		cacheSource  func() (*appstatecache.Cache, error)
		repoServer   string
		metricsPort  int
		resync       time.Duration
	)
	command := &cobra.Command{
		Use: "argocd-application-controller",
		RunE: cli.WithSignalContextE(func(c *cobra.Command, _ []string, _ context.CancelFunc) error {
			return runController(c.Context(), clientConfig, cacheSource, repoServer, metricsPort, resync)
		}),
	}
	clientConfig = cli.AddKubectlFlagsToCmd(command)
	command.Flags().StringVar(&repoServer, "repo-server", "", "address of the repository server")
	command.Flags().IntVar(&metricsPort, "metrics-port", 0, "port of metrics and health, on loopback")
	command.Flags().DurationVar(&resync, "resync", 10*time.Second, "how often an Application is looked at")
	cacheSource = appstatecache.AddCacheFlagsToCmd(command)
	return command
}

func runController(
	ctx context.Context, clientConfig clientcmd.ClientConfig, cacheSource func() (*appstatecache.Cache, error),
	repoServer string, metricsPort int, resync time.Duration,
) error {
	namespace, _, err := clientConfig.Namespace()
	if err != nil {
		return err
	}
	config, err := clientConfig.ClientConfig()
	if err != nil {
		return err
	}
	if err := v1alpha1.SetK8SConfigDefaults(config); err != nil {
		return err
	}
	config.UserAgent = "argocd-application-controller"
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	applications, err := appclientset.NewForConfig(config)
	if err != nil {
		return err
	}
	cache, err := cacheSource()
	if err != nil {
		return err
	}
	cache.Cache.SetClient(cacheutil.NewTwoLevelClient(cache.Cache.GetClient(), 10*time.Minute))
	repositories := apiclient.NewRepoServerClientset(repoServer, 60, tls.Configuration{DisableTLS: true})
	var made *controller.ApplicationController
	manager := settings.NewSettingsManager(ctx, kube, namespace, settings.WithRepoOrClusterChangedHandler(func() {
		made.InvalidateProjectsCache()
	}))
	shards, err := sharding.GetClusterSharding(kube, manager, "legacy", false)
	if err != nil {
		return err
	}
	made, err = controller.NewApplicationController(
		namespace, manager, kube, applications, repositories, commitclient.NewCommitServerClientset(""), cache,
		kubeutil.NewKubectl(), resync, 0, 0, 0,
		&wait.Backoff{Duration: time.Second, Factor: 3, Cap: 5 * time.Second},
		0, 3*time.Minute, metricsPort, 0, nil, nil, nil, 20, false, shards, nil,
		ratelimiter.GetDefaultAppRateLimiterConfig(), false, false, normalizers.IgnoreNormalizerOpts{},
		argo.DefaultEnableEventList(), false,
	)
	if err != nil {
		return err
	}
	made.GetMetricsServer().Addr = fmt.Sprintf("127.0.0.1:%d", metricsPort)
	log.Info("the controller starts")
	made.Run(ctx, 20, 10, 5)
	return nil
}
