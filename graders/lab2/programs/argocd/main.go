// Command argocd is the engine of Argo CD without what the lab does not run: controller, repository server and
// application sets, told apart by the name it is called by, as Argo CD's own program does.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	applicationset "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/util/log"
)

func main() {
	klog.SetLogger(log.NewLogrusLogger(log.NewWithCurrentConfig()))
	name := filepath.Base(os.Args[0])
	if role := os.Getenv("ARGOCD_BINARY_NAME"); role != "" {
		name = role
	}
	roles := map[string]func() *cobra.Command{
		common.CommandApplicationController:    newController,
		common.CommandApplicationSetController: applicationset.NewCommand,
		common.CommandRepoServer:               reposerver.NewCommand,
	}
	role, known := roles[name]
	if !known {
		fmt.Fprintf(os.Stderr, "%q is no role of this program: set ARGOCD_BINARY_NAME\n", name)
		os.Exit(2)
	}
	if err := role().Execute(); err != nil {
		os.Exit(1)
	}
}
