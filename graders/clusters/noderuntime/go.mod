module kubeproof/noderuntime

go 1.26.0

require (
	github.com/containerd/containerd/v2 v2.3.7
	github.com/containernetworking/plugins v1.9.1
	github.com/coredns/coredns v1.14.6
)
