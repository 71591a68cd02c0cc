// Command nodenetwork gives the pods of a kind node their network: an address range for the container runtime,
// routes to the pods of other nodes, masquerading towards everything else, and the rules that network policies
// ask for. It runs on each node, outside of any container, with the kubelet's identity.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	retryInterval = 300 * time.Millisecond
	resync        = 30 * time.Second
	settle        = 50 * time.Millisecond
)

func main() {
	kubeconfig := flag.String("kubeconfig", "/etc/kubernetes/kubelet.conf", "how to reach the API server")
	flag.Parse()
	log.SetFlags(0)
	node, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	client := connect(ctx, *kubeconfig)
	if client != nil {
		follow(ctx, client, node)
	}
}

// connect waits for the kubelet's identity and for the right to read nodes, which the cluster's manifests give;
// nil once ctx is done. An informer started before would wait ever longer between its tries.
func connect(ctx context.Context, kubeconfig string) kubernetes.Interface {
	for told := ""; ctx.Err() == nil; sleep(ctx, retryInterval) {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err == nil {
			var client kubernetes.Interface
			if client, err = kubernetes.NewForConfig(config); err == nil {
				_, err = client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
			}
			if err == nil {
				return client
			}
		}
		if err.Error() != told {
			told = err.Error()
			log.Print("waiting: ", told)
		}
	}
	return nil
}

// follow keeps this node's network as the cluster's objects want it, until ctx is done.
func follow(ctx context.Context, client kubernetes.Interface, node string) {
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { tell() },
		UpdateFunc: func(_, _ any) { tell() },
		DeleteFunc: func(any) { tell() },
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes, pods := factory.Core().V1().Nodes(), factory.Core().V1().Pods()
	namespaces, policies := factory.Core().V1().Namespaces(), factory.Networking().V1().NetworkPolicies()
	for _, informer := range []cache.SharedIndexInformer{
		nodes.Informer(), pods.Informer(), namespaces.Informer(), policies.Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Fatal(err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	arrivals, err := listen(tell) // before the runtime is told to call the plugin that speaks to it
	if err != nil {
		log.Fatal(err)
	}
	network, enforcer := newNetwork(node), enforcer{}
	told := ""
	for ctx.Err() == nil {
		addressed, made := arrivals.addressed(list(pods.Lister().List), node)
		enforced := enforcer.apply(&world{
			node:       node,
			pods:       addressed,
			namespaces: labelsOf(list(namespaces.Lister().List)),
			policies:   list(policies.Lister().List),
		})
		if enforced == nil {
			made()
		}
		err := errors.Join(network.apply(list(nodes.Lister().List)), enforced)
		wait := resync
		if err != nil {
			wait = retryInterval
			if err.Error() != told {
				told = err.Error()
				log.Print(told)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
			sleep(ctx, settle) // changes come in flocks
		case <-time.After(wait):
		}
	}
}

// list reads everything from a cache, which cannot fail.
func list[T any](read func(labels.Selector) ([]T, error)) []T {
	found, err := read(labels.Everything())
	if err != nil {
		log.Print(err)
	}
	return found
}

func labelsOf(namespaces []*corev1.Namespace) map[string]labels.Set {
	found := map[string]labels.Set{}
	for _, namespace := range namespaces {
		found[namespace.Name] = namespace.Labels
	}
	return found
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
