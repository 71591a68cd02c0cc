// Command operator runs MLTrainingJobs.
package main

import (
	"flag"
	"fmt"
	"os"

	"go.uber.org/zap/zapcore"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"mod201.dev/mltj-operator/internal/app"
)

func main() {
	// A conflict is everyday business: it gets a line, not a stack.
	ctrl.SetLogger(zap.New(zap.StacktraceLevel(zapcore.PanicLevel)))
	// The flag set of the process, because controller-runtime puts -kubeconfig into it.
	config, err := app.ReadConfig(flag.CommandLine, os.Args[1:], os.Getenv)
	if err == nil {
		err = run(config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

func run(config app.Config) error {
	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	return app.Run(ctrl.SetupSignalHandler(), kubeconfig, config)
}
