// Package gang decides which pods of a gang may start: enough of them at once, or none.
package gang

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Room is the free places of a cluster; placing a pod uses one up.
type Room struct {
	nodes []*node
}

type node struct {
	labels map[string]string
	taints []corev1.Taint
	free   corev1.ResourceList
}

// NewRoom sees what each node has left, and whom it lets in.
func NewRoom(nodes []corev1.Node, pods []corev1.Pod) *Room {
	room := &Room{}
	byName := make(map[string]*node, len(nodes))
	for i := range nodes {
		if nodes[i].Spec.Unschedulable {
			continue
		}
		open := &node{
			labels: nodes[i].Labels,
			taints: nodes[i].Spec.Taints,
			free:   nodes[i].Status.Allocatable.DeepCopy(),
		}
		byName[nodes[i].Name] = open
		room.nodes = append(room.nodes, open)
	}
	var promised []*corev1.Pod
	for i := range pods {
		pod := &pods[i]
		switch {
		case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		case byName[pod.Spec.NodeName] != nil:
			byName[pod.Spec.NodeName].take(requests(&pod.Spec))
		case pod.Spec.NodeName == "" && len(pod.Spec.SchedulingGates) == 0:
			promised = append(promised, pod)
		}
	}
	for _, pod := range promised {
		room.Place(&pod.Spec) // on its way to a node: its place is gone
	}
	return room
}

// Place puts a pod on the first node that takes it; says whether there is one.
func (r *Room) Place(spec *corev1.PodSpec) bool {
	wanted := requests(spec)
	for _, candidate := range r.nodes {
		if candidate.accepts(spec, wanted) {
			candidate.take(wanted)
			return true
		}
	}
	return false
}

func (n *node) accepts(spec *corev1.PodSpec, wanted corev1.ResourceList) bool {
	for key, value := range spec.NodeSelector {
		if actual, labelled := n.labels[key]; !labelled || actual != value {
			return false
		}
	}
	for i := range n.taints {
		if n.taints[i].Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(spec.Tolerations, &n.taints[i]) {
			return false
		}
	}
	for name, amount := range wanted {
		if free := n.free[name]; !amount.IsZero() && free.Cmp(amount) < 0 {
			return false
		}
	}
	return true
}

func (n *node) take(wanted corev1.ResourceList) {
	if n.free == nil {
		n.free = corev1.ResourceList{}
	}
	for name, amount := range wanted {
		free := n.free[name]
		free.Sub(amount)
		n.free[name] = free
	}
}

// requests is what a pod takes from its node: its place, and what its containers ask for together.
func requests(spec *corev1.PodSpec) corev1.ResourceList {
	total := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(1, resource.DecimalSI)}
	for i := range spec.Containers {
		asked := spec.Containers[i].Resources.Limits.DeepCopy()
		if asked == nil {
			asked = corev1.ResourceList{}
		}
		for name, amount := range spec.Containers[i].Resources.Requests {
			asked[name] = amount
		}
		for name, amount := range asked {
			sum := total[name]
			sum.Add(amount)
			total[name] = sum
		}
	}
	return total
}

func tolerated(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		t := &tolerations[i]
		sameEffect := t.Effect == "" || t.Effect == taint.Effect
		sameKey := t.Key == taint.Key || (t.Key == "" && t.Operator == corev1.TolerationOpExists)
		sameValue := t.Operator == corev1.TolerationOpExists || t.Value == taint.Value
		if sameEffect && sameKey && sameValue {
			return true
		}
	}
	return false
}
