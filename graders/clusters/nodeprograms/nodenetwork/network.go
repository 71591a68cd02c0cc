package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	runtimeConfig = "/etc/cni/net.d/10-kubeproof.conflist"
	leases        = "/run/cni-ipam-state"
	masquerade    = "KUBEPROOF-MASQ"
)

// network is what the node has been given so far.
type network struct {
	node   string
	routes map[string]string
	rules  string
}

func newNetwork(node string) *network {
	return &network{node: node, routes: map[string]string{}}
}

// apply makes the node's network fit the cluster's nodes. What is there already is not made again.
func (n *network) apply(nodes []*corev1.Node) error {
	var own []string
	ranges := []string{}
	routes := map[string]string{}
	for _, node := range nodes {
		for _, cidr := range node.Spec.PodCIDRs {
			if strings.Contains(cidr, ":") {
				continue
			}
			ranges = append(ranges, cidr)
			if node.Name == n.node {
				own = append(own, cidr)
			} else if address := internalAddress(node); address != "" {
				routes[cidr] = address
			}
		}
	}
	if len(own) == 0 {
		return errors.New("this node has no pod range yet")
	}
	sort.Strings(ranges)
	return errors.Join(n.route(routes), n.masquerade(own, ranges), configureRuntime(own))
}

// route sends what is for the pods of other nodes to those nodes.
func (n *network) route(wanted map[string]string) error {
	var failures []error
	for cidr, via := range wanted {
		if n.routes[cidr] == via {
			continue
		}
		if err := run("", "ip", "route", "replace", cidr, "via", via); err != nil {
			failures = append(failures, err)
			continue
		}
		n.routes[cidr] = via
	}
	for cidr := range n.routes {
		if _, kept := wanted[cidr]; !kept {
			failures = append(failures, run("", "ip", "route", "delete", cidr))
			delete(n.routes, cidr)
		}
	}
	return errors.Join(failures...)
}

// masquerade hides this node's pods behind its address towards everything that is not a pod.
func (n *network) masquerade(own, ranges []string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "*nat\n:%s - [0:0]\n", masquerade)
	for _, cidr := range ranges {
		fmt.Fprintf(&text, "-A %s -d %s -j RETURN\n", masquerade, cidr)
	}
	fmt.Fprintf(&text, "-A %s -j MASQUERADE\nCOMMIT\n", masquerade)
	if text.String() == n.rules {
		return nil
	}
	if err := run(text.String(), "iptables-restore", "-w", "--noflush"); err != nil {
		return err
	}
	for _, cidr := range own {
		jump := []string{"POSTROUTING", "-s", cidr, "-m", "addrtype", "!", "--dst-type", "LOCAL", "-j", masquerade}
		if run("", "iptables", append([]string{"-w", "-t", "nat", "-C"}, jump...)...) == nil {
			continue
		}
		if err := run("", "iptables", append([]string{"-w", "-t", "nat", "-A"}, jump...)...); err != nil {
			return err
		}
	}
	n.rules = text.String()
	return nil
}

// configureRuntime tells the container runtime how pods are connected; the node is ready once this is there.
func configureRuntime(own []string) error {
	ranges := [][]map[string]string{}
	for _, cidr := range own {
		ranges = append(ranges, []map[string]string{{"subnet": cidr}})
	}
	text, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "kubeproof",
		"plugins": []any{
			map[string]any{
				"type":   "ptp",
				"ipMasq": false,
				"ipam": map[string]any{
					"type":    "host-local",
					"dataDir": leases,
					"routes":  []map[string]string{{"dst": "0.0.0.0/0"}},
					"ranges":  ranges,
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
			map[string]any{"type": "awaitpolicies"},
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	if there, err := os.ReadFile(runtimeConfig); err == nil && string(there) == string(text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(runtimeConfig), 0o755); err != nil {
		return err
	}
	partial := runtimeConfig + ".partial"
	if err := os.WriteFile(partial, text, 0o644); err != nil {
		return err
	}
	return os.Rename(partial, runtimeConfig)
}

func internalAddress(node *corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP && !strings.Contains(address.Address, ":") {
			return address.Address
		}
	}
	return ""
}

// run runs a command with text as its input; an error carries what the command said.
func run(text, name string, arguments ...string) error {
	command := exec.Command(name, arguments...)
	command.Stdin = strings.NewReader(text)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(string(said)))
	}
	return nil
}
