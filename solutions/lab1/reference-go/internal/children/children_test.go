package children_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mod201.dev/mltj-operator/api/v1alpha1"
	"mod201.dev/mltj-operator/internal/children"
	"mod201.dev/mltj-operator/internal/jobtest"
	"mod201.dev/mltj-operator/internal/plan"
)

const rich = `{
  "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}, "annotations": {"note": "x"}},
  "spec": {
    "restartPolicy": "Always",
    "initContainers": [{"name": "fetch"}],
    "containers": [{"name": "trainer", "env": [
      {"name": "PET_NNODES", "value": "99"}, {"name": "LR", "value": "0.1"}],
      "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
  }
}`

func with(template string) func(*v1alpha1.MLTrainingJob) {
	return func(job *v1alpha1.MLTrainingJob) { job.Spec.Trainer.Template.Raw = []byte(template) }
}

func TestPodIsTheTemplateAndItsPlaceInTheJob(t *testing.T) {
	job := jobtest.Job(3, with(rich))
	pod, err := children.Pod(job, 2)
	if err != nil {
		t.Fatal(err)
	}
	if pod.Name != "train-2" || pod.Spec.Hostname != "train-2" || pod.Spec.Subdomain != "train" {
		t.Errorf("names: %+v", pod.ObjectMeta)
	}
	if !metav1.IsControlledBy(pod, job) || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Error("owner or restart policy")
	}
	for key, want := range map[string]string{
		children.JobLabel: "train", children.IndexLabel: "2", "kueue.x-k8s.io/queue-name": "q",
	} {
		if pod.Labels[key] != want {
			t.Errorf("label %s is %q", key, pod.Labels[key])
		}
	}
	if pod.Annotations["note"] != "x" || len(pod.Spec.TopologySpreadConstraints) != 1 || len(pod.Spec.SchedulingGates) != 0 {
		t.Error("the template was changed")
	}
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		seen := map[string]string{}
		for _, variable := range container.Env {
			if _, twice := seen[variable.Name]; twice {
				t.Errorf("%s twice", variable.Name)
			}
			seen[variable.Name] = variable.Value
		}
		if seen["PET_NNODES"] != "3" || seen["PET_NODE_RANK"] != "2" || seen["PET_MASTER_PORT"] != "29500" {
			t.Errorf("%s: %v", container.Name, seen)
		}
		if seen["PET_MASTER_ADDR"] != "train-0.train.team.svc" {
			t.Errorf("master is %s", seen["PET_MASTER_ADDR"])
		}
	}
}

func TestTheTemplateIsReadAnewForEachPod(t *testing.T) {
	job := jobtest.Job(2, with(rich))
	before := string(job.Spec.Trainer.Template.Raw)
	first, _ := children.Pod(job, 0)
	second, _ := children.Pod(job, 1)
	first.Spec.Containers[0].Env[1].Value = "changed"
	if second.Spec.Containers[0].Env[1].Value != "1" || string(job.Spec.Trainer.Template.Raw) != before {
		t.Error("two pods share memory")
	}
}

func TestGangsAreGatedAndGetTheirPriority(t *testing.T) {
	job := jobtest.Job(2, func(job *v1alpha1.MLTrainingJob) {
		job.Spec.RunPolicy.SchedulingPolicy = v1alpha1.SchedulingPolicy{MinAvailable: 2, PriorityClass: "high"}
	})
	pod, _ := children.Pod(job, 0)
	if pod.Spec.PriorityClassName != "high" || !plan.HoldsGate(pod) {
		t.Errorf("got %+v", pod.Spec)
	}
	with(`{"spec": {"priorityClassName": "mine", "containers": []}}`)(job)
	if pod, _ := children.Pod(job, 0); pod.Spec.PriorityClassName != "mine" {
		t.Error("the template's own priority class lost")
	}
}

func TestATemplateThatIsNone(t *testing.T) {
	_, err := children.Pod(jobtest.Job(1, with(`{"spec": {"containers": 7}}`)), 0)
	var bad *children.TemplateError
	if !errors.As(err, &bad) || errors.Unwrap(bad) == nil || bad.Error() == "" {
		t.Errorf("got %v", err)
	}
}

func TestService(t *testing.T) {
	job := jobtest.Job(1)
	service := children.Service(job)
	if service.Spec.ClusterIP != "None" || !service.Spec.PublishNotReadyAddresses || !metav1.IsControlledBy(service, job) {
		t.Errorf("got %+v", service)
	}
}
