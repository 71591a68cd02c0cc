package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Condition types of a job.
const (
	Created    = "Created"
	Running    = "Running"
	Restarting = "Restarting"
	Suspended  = "Suspended"
	Complete   = "Complete"
	Failed     = "Failed"
)

// RestartPolicy says which failures of a pod are worth a retry.
type RestartPolicy string

// The restart policies.
const (
	RestartOnFailure RestartPolicy = "OnFailure"
	RestartNever     RestartPolicy = "Never"
	RestartExitCode  RestartPolicy = "ExitCode"
)

// CleanPodPolicy says which pods go when a job is over.
type CleanPodPolicy string

// The clean-up policies.
const (
	CleanNone    CleanPodPolicy = "None"
	CleanRunning CleanPodPolicy = "Running"
	CleanAll     CleanPodPolicy = "All"
)

// MLTrainingJob is so many pods that train one model together.
type MLTrainingJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   MLTrainingJobSpec   `json:"spec"`
	Status MLTrainingJobStatus `json:"status,omitempty"`
}

// MLTrainingJobList is a list of jobs.
type MLTrainingJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MLTrainingJob `json:"items"`
}

// MLTrainingJobSpec is what the user asks for.
type MLTrainingJobSpec struct {
	RunPolicy RunPolicy `json:"runPolicy,omitempty"`
	Trainer   Trainer   `json:"trainer"`
}

// RunPolicy bounds the life of a job.
type RunPolicy struct {
	Suspend                 bool             `json:"suspend,omitempty"`
	BackoffLimit            *int32           `json:"backoffLimit,omitempty"`
	ActiveDeadlineSeconds   *int64           `json:"activeDeadlineSeconds,omitempty"`
	TTLSecondsAfterFinished *int32           `json:"ttlSecondsAfterFinished,omitempty"`
	CleanPodPolicy          CleanPodPolicy   `json:"cleanPodPolicy,omitempty"`
	SchedulingPolicy        SchedulingPolicy `json:"schedulingPolicy,omitempty"`
}

// SchedulingPolicy says how many pods may only start together.
type SchedulingPolicy struct {
	MinAvailable  int32  `json:"minAvailable,omitempty"`
	PriorityClass string `json:"priorityClass,omitempty"`
}

// Trainer describes the pods.
type Trainer struct {
	NumNodes      int32         `json:"numNodes,omitempty"`
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty"`
	// Template is a PodTemplateSpec, read only when a pod is made of it: the CRD doesn't look inside, and a
	// typed field would let one unreadable template break the list of all jobs.
	Template runtime.RawExtension `json:"template"`
}

// MLTrainingJobStatus is all that the operator remembers about a job.
type MLTrainingJobStatus struct {
	ObservedGeneration int64        `json:"observedGeneration"`
	StartTime          *metav1.Time `json:"startTime,omitempty"`
	FirstRunningTime   *metav1.Time `json:"firstRunningTime,omitempty"`
	CompletionTime     *metav1.Time `json:"completionTime,omitempty"`
	// Restarts is how many pods were re-created, or are to be, because one failed.
	Restarts int32 `json:"restarts"`
	// CountedFailures are UIDs of failed pods that Restarts includes and that are to be deleted.
	CountedFailures []string `json:"countedFailures,omitempty"`
	// FinishedIndices are the indices whose pod succeeded.
	FinishedIndices []int32 `json:"finishedIndices,omitempty"`
	// CleanPodPolicy is the policy in force when the job ended; later edits don't count.
	CleanPodPolicy  CleanPodPolicy     `json:"cleanPodPolicy,omitempty"`
	ReplicaStatuses ReplicaStatuses    `json:"replicaStatuses"`
	Conditions      []metav1.Condition `json:"conditions,omitempty"`
}

// ReplicaStatuses counts pods; Succeeded counts finished indices.
type ReplicaStatuses struct {
	Active    int32 `json:"active"`
	Ready     int32 `json:"ready"`
	Succeeded int32 `json:"succeeded"`
	Failed    int32 `json:"failed"`
}

// Ended tells whether the job is Complete or Failed, which it then stays.
func (s *MLTrainingJobStatus) Ended() bool {
	return s.IsTrue(Complete) || s.IsTrue(Failed)
}

// IsTrue tells whether the condition of this type is there and True.
func (s *MLTrainingJobStatus) IsTrue(kind string) bool {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return s.Conditions[i].Status == metav1.ConditionTrue
		}
	}
	return false
}
