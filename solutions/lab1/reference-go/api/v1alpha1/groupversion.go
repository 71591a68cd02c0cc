// Package v1alpha1 is the API of MLTrainingJob as Go types.
//
// The CRD in deploy/ is the contract; these types read what it lets through.
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind is the kind of the one resource of this group.
const Kind = "MLTrainingJob"

// GroupVersion is the group and version of this API.
var GroupVersion = schema.GroupVersion{Group: "training.mod201.dev", Version: "v1alpha1"}

// AddToScheme makes the types known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &MLTrainingJob{}, &MLTrainingJobList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
