package gang_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/gang"
	"mod201.dev/mltj-operator/internal/jobtest"
	"mod201.dev/mltj-operator/internal/plan"
)

const gpu = corev1.ResourceName("nvidia.com/gpu")

func node(name, gpus string, changes ...func(*corev1.Node)) corev1.Node {
	made := corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": "ssd"}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			gpu: resource.MustParse(gpus), corev1.ResourcePods: resource.MustParse("10"),
		}},
	}
	for _, change := range changes {
		change(&made)
	}
	return made
}

func wanting(pod *corev1.Pod, gpus string) *corev1.Pod {
	limits := corev1.ResourceList{gpu: resource.MustParse(gpus)}
	pod.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: limits}}}
	return pod
}

func gangOf(nodes, minAvailable int32) *v1alpha1.MLTrainingJob {
	return jobtest.Job(nodes, func(job *v1alpha1.MLTrainingJob) {
		job.Spec.RunPolicy.SchedulingPolicy.MinAvailable = minAvailable
	})
}

func waiting(job *v1alpha1.MLTrainingJob) []corev1.Pod {
	var pods []corev1.Pod
	for i := range job.Spec.Trainer.NumNodes {
		pod := wanting(jobtest.Pod(job, plan.PodName(job.Name, i), corev1.PodPending), "1")
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: plan.GangGate}}
		pods = append(pods, *pod)
	}
	return pods
}

func admitted(job *v1alpha1.MLTrainingJob, pods []corev1.Pod, nodes ...corev1.Node) []string {
	var all []string
	for _, pod := range gang.Admitted(job, pods, nodes) {
		all = append(all, pod.Name)
	}
	return all
}

func TestTooLittleRoomAdmitsNobody(t *testing.T) {
	job := gangOf(4, 4)
	if got := admitted(job, waiting(job), node("a", "2"), node("b", "1")); got != nil {
		t.Errorf("admitted %v", got)
	}
}

func TestAllThatFitStartTogether(t *testing.T) {
	job := gangOf(4, 2)
	want := []string{"train-0", "train-1", "train-2"}
	if got := admitted(job, waiting(job), node("a", "2"), node("b", "1")); !slices.Equal(got, want) {
		t.Errorf("admitted %v", got)
	}
}

func TestPodsThatAreUpCountTowardsTheGang(t *testing.T) {
	job := gangOf(2, 2)
	pods := waiting(job)
	pods[0].Spec.SchedulingGates = nil
	pods[0].Spec.NodeName = "a"
	if got := admitted(job, pods, node("a", "2")); !slices.Equal(got, []string{"train-1"}) {
		t.Errorf("admitted %v", got)
	}
	job.Status.FinishedIndices = []int32{0}
	if got := admitted(job, pods[1:], node("a", "1")); !slices.Equal(got, []string{"train-1"}) {
		t.Errorf("admitted %v", got)
	}
}

func TestPlacesThatArePromisedAreNotGivenAgain(t *testing.T) {
	job, other := gangOf(2, 2), jobtest.Job(1, func(job *v1alpha1.MLTrainingJob) { job.Name, job.UID = "other", "other" })
	onItsWay := wanting(jobtest.Pod(other, "other-0", corev1.PodPending), "1")
	if got := admitted(job, append(waiting(job), *onItsWay), node("a", "2")); got != nil {
		t.Errorf("admitted %v", got)
	}
	onItsWay.Status.Phase = corev1.PodSucceeded
	if got := admitted(job, append(waiting(job), *onItsWay), node("a", "2")); len(got) != 2 {
		t.Errorf("admitted %v", got)
	}
}

func TestWhomANodeLetsIn(t *testing.T) {
	tainted := func(node *corev1.Node) {
		node.Spec.Taints = []corev1.Taint{
			{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule},
			{Key: "nice", Effect: corev1.TaintEffectPreferNoSchedule},
		}
	}
	cordoned := func(node *corev1.Node) { node.Spec.Unschedulable = true }
	plain := func(*corev1.Node) {}
	tolerating := func(toleration corev1.Toleration) corev1.PodSpec {
		return corev1.PodSpec{Tolerations: []corev1.Toleration{toleration}}
	}
	for name, c := range map[string]struct {
		node func(*corev1.Node)
		spec corev1.PodSpec
		want bool
	}{
		"anybody":                {plain, corev1.PodSpec{}, true},
		"a cordon":               {cordoned, corev1.PodSpec{}, false},
		"a matching selector":    {plain, corev1.PodSpec{NodeSelector: map[string]string{"disk": "ssd"}}, true},
		"an empty selector":      {plain, corev1.PodSpec{NodeSelector: map[string]string{"zone": ""}}, false},
		"a taint":                {tainted, corev1.PodSpec{}, false},
		"the same key and value": {tainted, tolerating(corev1.Toleration{Key: "gpu", Value: "yes"}), true},
		"another value":          {tainted, tolerating(corev1.Toleration{Key: "gpu", Value: "no"}), false},
		"Exists":                 {tainted, tolerating(corev1.Toleration{Key: "gpu", Operator: corev1.TolerationOpExists}), true},
		"everything":             {tainted, tolerating(corev1.Toleration{Operator: corev1.TolerationOpExists}), true},
		"another effect": {tainted, tolerating(corev1.Toleration{
			Key: "gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
		}), false},
	} {
		room := gang.NewRoom([]corev1.Node{node("a", "1", c.node)}, nil)
		if got := room.Place(&c.spec); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
