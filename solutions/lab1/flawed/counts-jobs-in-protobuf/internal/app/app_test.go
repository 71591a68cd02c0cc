package app

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"mod201.dev/mltj-operator/internal/jobtest"
	"mod201.dev/mltj-operator/internal/transport"
)

func read(environment map[string]string, arguments ...string) (Config, error) {
	flags := flag.NewFlagSet("operator", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return ReadConfig(flags, arguments, func(name string) string { return environment[name] })
}

func TestReadConfig(t *testing.T) {
	config, err := read(map[string]string{"POD_NAME": "op-1", "POD_NAMESPACE": "ns"}, "-metrics-bind-address=:9")
	want := Config{"ns", "op-1", ":9", ":8081", 4 * time.Second}
	if err != nil || config != want {
		t.Errorf("got %+v, %v", config, err)
	}
	config, err = read(nil)
	if err != nil || config.Namespace != "mltj-system" || config.Identity == "" {
		t.Errorf("got %+v, %v", config, err)
	}
	for _, bad := range []string{"-sweep-interval=0s", "-no-such-flag"} {
		if _, err := read(nil, bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestConnectionsSpeakProtobufAndAreFenced(t *testing.T) {
	fence := transport.NewFence(time.Minute)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	connection := connect(&rest.Config{Host: server.URL}, fence)
	if connection.ContentType != "application/vnd.kubernetes.protobuf" {
		t.Errorf("content type %s", connection.ContentType)
	}
	client, err := rest.HTTPClientFor(connection)
	if err != nil {
		t.Fatal(err)
	}
	post := func() error {
		response, err := client.Post(server.URL+"/api/v1/pods", "application/json", http.NoBody)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	if err := post(); !errors.Is(err, transport.ErrNotLeading) {
		t.Errorf("got %v", err)
	}
	fence.Renewed(time.Now())
	if err := post(); err != nil {
		t.Error(err)
	}
}

// discovery answers what a client asks first: which resources there are.
var discovery = map[string]string{
	"/api":  `{"kind": "APIVersions", "versions": ["v1"]}`,
	"/apis": `{"kind": "APIGroupList", "groups": []}`,
	"/api/v1": `{"kind": "APIResourceList", "groupVersion": "v1", "resources": [
		{"name": "pods", "kind": "Pod", "namespaced": true}, {"name": "services", "kind": "Service", "namespaced": true}]}`,
}

func TestItStopsWhenTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		body, known := discovery[request.URL.Path]
		if !known {
			http.NotFound(answer, request)
			return
		}
		answer.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(answer, body)
	}))
	defer server.Close()
	config := Config{Namespace: "ns", Identity: "me", MetricsAddr: "0", ProbeAddr: "0", SweepInterval: time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, &rest.Config{Host: server.URL}, config); err != nil {
		t.Error(err)
	}
}

func TestActiveJobsAreListed(t *testing.T) {
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	jobs := fake.NewClientBuilder().WithScheme(scheme).WithObjects(jobtest.Job(1)).Build()
	if listed, err := listFrom(jobs)(t.Context()); err != nil || len(listed) != 1 {
		t.Errorf("got %v, %v", listed, err)
	}
}
