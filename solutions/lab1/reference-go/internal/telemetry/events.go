package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"mod201.dev/mltj-operator/api/v1alpha1"
)

// Component is the name under which the operator reports.
const Component = "mltj-operator"

const attempts = 3

// Reporter posts Events. They are news, not state: a job never waits for one, or fails with it.
//
// It is no EventRecorder: that one folds alike events into one and drops what it has not sent when the process
// ends, and here each restart is to have its Event.
type Reporter struct {
	Client client.Client
	// Instance is the name of this replica.
	Instance string
}

type news struct {
	reason, message, kind string
	count                 int32
}

// Tell posts one Event for each thing that a status write says has happened; job is as it was read before.
func (r *Reporter) Tell(ctx context.Context, job *v1alpha1.MLTrainingJob, happened Transitions) {
	for _, item := range newsOf(happened) {
		event := r.event(job, item, metav1.NewTime(time.Now()))
		if err := r.post(ctx, event); err != nil {
			log.FromContext(ctx).Info("an Event was not posted", "reason", item.reason, "cause", err.Error())
		}
	}
}

func (r *Reporter) post(ctx context.Context, event *corev1.Event) error {
	var err error
	for range attempts {
		err = r.Client.Create(ctx, event.DeepCopy())
		if err == nil || apierrors.IsAlreadyExists(err) {
			return nil // told, now or before
		}
		if apierrors.ReasonForError(err) != metav1.StatusReasonUnknown {
			return err
		}
	}
	return err
}

// event builds the Event to post. Its name follows from what it reports, so that telling the same thing twice is a
// conflict and not a second Event.
func (r *Reporter) event(job *v1alpha1.MLTrainingJob, item news, now metav1.Time) *corev1.Event {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s", job.UID, job.ResourceVersion, item.reason))
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      job.Name + "." + hex.EncodeToString(digest[:8]),
			Namespace: job.Namespace,
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion:      v1alpha1.GroupVersion.String(),
			Kind:            v1alpha1.Kind,
			Namespace:       job.Namespace,
			Name:            job.Name,
			UID:             job.UID,
			ResourceVersion: job.ResourceVersion,
		},
		Type:                item.kind,
		Reason:              item.reason,
		Message:             item.message,
		Count:               item.count,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Source:              corev1.EventSource{Component: Component},
		ReportingController: v1alpha1.GroupVersion.Group + "/" + Component,
		ReportingInstance:   r.Instance,
	}
}

func newsOf(happened Transitions) []news {
	var all []news
	add := func(is bool, reason, message, kind string, count int32) {
		if is {
			all = append(all, news{reason, message, kind, count})
		}
	}
	normal, warning := corev1.EventTypeNormal, corev1.EventTypeWarning
	restarts := happened.Restarts
	add(happened.Created, "Created", "the job was accepted", normal, 1)
	add(happened.Suspended, "Suspended", "the job is suspended; its pods are deleted", normal, 1)
	add(happened.Resumed, "Resumed", "the job goes on; its pods are created again", normal, 1)
	add(restarts > 0, "Restarting", "a pod failed and is re-created", warning, restarts)
	add(happened.Running, "Running", "enough pods are running", normal, 1)
	add(happened.Complete, "Complete", "every pod has succeeded", normal, 1)
	add(happened.Failed, "Failed", "the job has failed", warning, 1)
	return all
}
