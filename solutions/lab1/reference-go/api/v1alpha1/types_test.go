package v1alpha1_test

import (
	"encoding/json"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

const full = `{
  "apiVersion": "training.mod201.dev/v1alpha1", "kind": "MLTrainingJob",
  "metadata": {"name": "train", "labels": {"a": "b"}},
  "spec": {
    "runPolicy": {
      "suspend": true, "backoffLimit": 2, "activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 6,
      "cleanPodPolicy": "All", "schedulingPolicy": {"minAvailable": 2, "priorityClass": "high"}},
    "trainer": {"numNodes": 2, "restartPolicy": "ExitCode", "template": {"spec": {"unheard": [1]}}}},
  "status": {
    "observedGeneration": 3, "startTime": "2030-01-01T12:00:00Z", "firstRunningTime": "2030-01-01T12:00:01Z",
    "completionTime": "2030-01-01T12:00:02Z", "restarts": 1, "countedFailures": ["u"], "finishedIndices": [0],
    "cleanPodPolicy": "All", "replicaStatuses": {"active": 1, "ready": 1, "succeeded": 1, "failed": 1},
    "conditions": [{"type": "Failed", "status": "True", "reason": "R", "message": "m",
      "lastTransitionTime": "2030-01-01T12:00:00Z"}]}
}`

func TestCopiesShareNothing(t *testing.T) {
	job := &v1alpha1.MLTrainingJob{}
	if err := json.Unmarshal([]byte(full), job); err != nil {
		t.Fatal(err)
	}
	list := &v1alpha1.MLTrainingJobList{Items: []v1alpha1.MLTrainingJob{*job}}
	copied := list.DeepCopyObject().(*v1alpha1.MLTrainingJobList)
	if !reflect.DeepEqual(list, copied) || !reflect.DeepEqual(job, job.DeepCopyObject()) {
		t.Error("the copy differs")
	}
	other := &copied.Items[0]
	other.Labels["a"] = "changed"
	*other.Spec.RunPolicy.BackoffLimit = 9
	*other.Spec.RunPolicy.ActiveDeadlineSeconds = 9
	*other.Spec.RunPolicy.TTLSecondsAfterFinished = 9
	other.Spec.Trainer.Template.Raw[2] = 'X'
	*other.Status.StartTime = metav1.Time{}
	other.Status.CountedFailures[0] = "changed"
	other.Status.FinishedIndices[0] = 9
	other.Status.Conditions[0].Reason = "changed"
	if !reflect.DeepEqual(&list.Items[0], job) {
		t.Error("changing the copy changed the original")
	}
	if !job.Status.Ended() || job.Status.IsTrue("Running") || job.Status.DeepCopy().Restarts != 1 {
		t.Errorf("got %+v", job.Status)
	}
}

func TestNothingCopiesToNothing(t *testing.T) {
	var job *v1alpha1.MLTrainingJob
	var list *v1alpha1.MLTrainingJobList
	var status *v1alpha1.MLTrainingJobStatus
	if job.DeepCopy() != nil || list.DeepCopy() != nil || status.DeepCopy() != nil {
		t.Error("nil became something")
	}
	if job.DeepCopyObject() != nil || list.DeepCopyObject() != nil {
		t.Error("nil became an object")
	}
}

func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if !scheme.Recognizes(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind)) {
		t.Error("the kind is unknown")
	}
}
