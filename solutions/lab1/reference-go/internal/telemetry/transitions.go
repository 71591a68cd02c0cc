// Package telemetry tells others what happened to jobs: Prometheus metrics and Kubernetes Events. Both follow from
// the difference a successful status write made, so that they agree with it and with each other.
package telemetry

import (
	"time"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// Transitions is the difference between a job's status before and after a write.
type Transitions struct {
	Created, Running, Suspended, Resumed, Complete, Failed bool
	Restarts                                               int32
	// StartLatency is from startTime to the first time Running; nil unless this is that time.
	StartLatency *time.Duration
}

// Between compares two statuses of one job.
func Between(before, after *v1alpha1.MLTrainingJobStatus) Transitions {
	rose := func(kind string) bool { return after.IsTrue(kind) && !before.IsTrue(kind) }
	happened := Transitions{
		Created:   rose(v1alpha1.Created),
		Running:   rose(v1alpha1.Running),
		Suspended: rose(v1alpha1.Suspended),
		Resumed:   before.IsTrue(v1alpha1.Suspended) && !after.IsTrue(v1alpha1.Suspended),
		Complete:  rose(v1alpha1.Complete),
		Failed:    rose(v1alpha1.Failed),
		Restarts:  max(after.Restarts-before.Restarts, 0),
	}
	if before.FirstRunningTime == nil && after.FirstRunningTime != nil && after.StartTime != nil {
		latency := max(after.FirstRunningTime.Sub(after.StartTime.Time), 0)
		happened.StartLatency = &latency
	}
	return happened
}
