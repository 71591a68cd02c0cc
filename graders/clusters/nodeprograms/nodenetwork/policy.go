package main

import (
	"crypto/sha256"
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Policies become rules of the mangle table, which come before those of kube-proxy and see services' addresses
// already replaced by pods'. Each isolated pod of this node has a chain for a direction; what it allows is marked
// there, and what was not marked at its end is dropped. Connections that are established go on. What the node
// itself sends to its pods, such as the kubelet's probes, is not looked at.
const (
	policyTable = "mangle"
	policyChain = "KUBEPROOF-POLICY"
	chainPrefix = "KUBEPROOF-"
	allowed     = "0x20000/0x20000"
	disallowed  = "0x0/0x20000"
)

// world is what the rules are made from.
type world struct {
	node       string
	pods       []*corev1.Pod
	namespaces map[string]labels.Set
	policies   []*networkingv1.NetworkPolicy
}

// chains are chains by name, each with its rules in order.
type chains map[string][]string

// text is what iptables-restore reads to have these chains, and none of the stale ones.
func (c chains) text(stale []string) string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	fmt.Fprintf(&text, "*%s\n", policyTable)
	for _, name := range append(names, stale...) {
		fmt.Fprintf(&text, ":%s - [0:0]\n", name)
	}
	for _, name := range names {
		for _, rule := range c[name] {
			fmt.Fprintf(&text, "-A %s %s\n", name, rule)
		}
	}
	for _, name := range stale {
		fmt.Fprintf(&text, "-X %s\n", name)
	}
	text.WriteString("COMMIT\n")
	return text.String()
}

// rules are the chains for the pods of the node.
func (w *world) rules() chains {
	made := chains{policyChain: {"-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"}}
	pods := append([]*corev1.Pod(nil), w.pods...)
	sort.Slice(pods, func(i, j int) bool { return pods[i].Status.PodIP < pods[j].Status.PodIP })
	// A pod that begins a connection is asked before the one that it is meant for.
	for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress} {
		for _, pod := range pods {
			if pod.Spec.NodeName == w.node && hasAddress(pod) {
				w.isolate(made, pod, direction)
			}
		}
	}
	return made
}

// isolate adds the chain of a pod for a direction, if a policy selects it.
func (w *world) isolate(made chains, pod *corev1.Pod, direction networkingv1.PolicyType) {
	selecting := w.selecting(pod, direction)
	if len(selecting) == 0 {
		return
	}
	own, other := "-d", "-s"
	if direction == networkingv1.PolicyTypeEgress {
		own, other = "-s", "-d"
	}
	name := chainName(string(direction), pod.Status.PodIP)
	made[policyChain] = append(made[policyChain], fmt.Sprintf("%s %s -j %s", own, pod.Status.PodIP, name))
	made[name] = []string{
		"-j MARK --set-xmark " + disallowed,
		fmt.Sprintf("%s %s -j RETURN", other, pod.Status.PodIP), // itself, through a service
	}
	for _, policy := range selecting {
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				w.allow(made, name, other, pod, policy.Namespace, rule.From, rule.Ports, direction)
			}
			continue
		}
		for _, rule := range policy.Spec.Egress {
			w.allow(made, name, other, pod, policy.Namespace, rule.To, rule.Ports, direction)
		}
	}
	made[name] = append(made[name], "-m mark --mark "+allowed+" -j RETURN", "-j DROP")
}

// allow adds to the chain `name` what one rule of a policy allows; `other` matches the other end.
func (w *world) allow(
	made chains, name, other string, pod *corev1.Pod, namespace string,
	peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, direction networkingv1.PolicyType,
) {
	mark := func(match string, listening *corev1.Pod) {
		for _, port := range portMatches(ports, listening) {
			made[name] = append(made[name], strings.TrimSpace(match+" "+port)+" -j MARK --set-xmark "+allowed)
		}
	}
	// A port that has a name is looked up in the pod that listens.
	listening := func(peer *corev1.Pod) *corev1.Pod {
		if direction == networkingv1.PolicyTypeIngress {
			return pod
		}
		return peer
	}
	if len(peers) == 0 {
		mark("", listening(nil))
		if direction == networkingv1.PolicyTypeEgress && namesPort(ports) {
			peers = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
		}
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			w.allowBlock(made, name, other, peer.IPBlock, portMatches(ports, listening(nil)))
			continue
		}
		for _, found := range w.pods {
			if hasAddress(found) && w.matches(peer, namespace, found) {
				mark(fmt.Sprintf("%s %s", other, found.Status.PodIP), listening(found))
			}
		}
	}
}

// allowBlock allows a range of addresses without its exceptions, in a chain of its own.
func (w *world) allowBlock(made chains, name, other string, block *networkingv1.IPBlock, ports []string) {
	if strings.Contains(block.CIDR, ":") {
		return
	}
	sub := chainName("Block", other+block.CIDR+strings.Join(block.Except, ","))
	if _, there := made[sub]; !there {
		made[sub] = []string{}
		for _, except := range block.Except {
			made[sub] = append(made[sub], fmt.Sprintf("%s %s -j RETURN", other, except))
		}
		made[sub] = append(made[sub], "-j MARK --set-xmark "+allowed)
	}
	for _, port := range ports {
		rule := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s -j %s", other, block.CIDR, port, sub)), " ")
		made[name] = append(made[name], rule)
	}
}

// selecting are the policies that isolate a pod in a direction.
func (w *world) selecting(pod *corev1.Pod, direction networkingv1.PolicyType) []*networkingv1.NetworkPolicy {
	var found []*networkingv1.NetworkPolicy
	for _, policy := range w.policies {
		if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		for _, kind := range policy.Spec.PolicyTypes {
			if kind == direction {
				found = append(found, policy)
				break
			}
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name < found[j].Name })
	return found
}

// matches says whether a pod is a peer, as a policy of a namespace means it.
func (w *world) matches(peer networkingv1.NetworkPolicyPeer, namespace string, pod *corev1.Pod) bool {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != namespace {
			return false
		}
	} else if !selects(peer.NamespaceSelector, w.namespaces[pod.Namespace]) {
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)
}

// portMatches are the matches for ports, one empty one if there are none. Names are of ports of `listening`.
func portMatches(ports []networkingv1.NetworkPolicyPort, listening *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	found := []string{}
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		match := "-p " + strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			found = append(found, match)
		case port.Port.Type == intstr.String:
			if number := namedPort(listening, port.Port.StrVal, protocol); number != 0 {
				found = append(found, fmt.Sprintf("%s --dport %d", match, number))
			}
		case port.EndPort != nil:
			found = append(found, fmt.Sprintf("%s --dport %d:%d", match, port.Port.IntVal, *port.EndPort))
		default:
			found = append(found, fmt.Sprintf("%s --dport %d", match, port.Port.IntVal))
		}
	}
	return found
}

func namesPort(ports []networkingv1.NetworkPolicyPort) bool {
	for _, port := range ports {
		if port.Port != nil && port.Port.Type == intstr.String {
			return true
		}
	}
	return false
}

func namedPort(pod *corev1.Pod, name string, protocol corev1.Protocol) int32 {
	if pod == nil {
		return 0
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == corev1.ProtocolTCP) {
				return port.ContainerPort
			}
		}
	}
	return 0
}

func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && compiled.Matches(labels.Set(set))
}

// hasAddress says whether a pod has an address of its own that is in use.
func hasAddress(pod *corev1.Pod) bool {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	return !pod.Spec.HostNetwork && !ended && pod.Status.PodIP != "" && !strings.Contains(pod.Status.PodIP, ":")
}

// chainName is a name that iptables takes: 28 characters at most.
func chainName(kind, of string) string {
	return fmt.Sprintf("%s%.1s-%x", chainPrefix, kind, sha256.Sum256([]byte(of)))[:len(chainPrefix)+2+12]
}
