// Command awaitpolicies is a network plugin, the last of its chain: the containers of a pod start when the rules that
// network policies ask for are in force for its address, and not a moment before.
package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"kubeproof/nodeprograms/arrival"
)

// names are what the container runtime says of a pod.
type names struct {
	types.CommonArgs
	K8S_POD_NAMESPACE types.UnmarshallableString
	K8S_POD_NAME      types.UnmarshallableString
	K8S_POD_UID       types.UnmarshallableString
}

func main() {
	functions := skel.CNIFuncs{Add: add, Del: remove, Check: func(*skel.CmdArgs) error { return nil }}
	skel.PluginMainFuncs(functions, version.PluginSupports("1.0.0"), "kubeproof awaitpolicies")
}

func add(args *skel.CmdArgs) error {
	configuration, message, err := read(args)
	if err != nil {
		return err
	}
	if message.Address == "" {
		return errors.New("the plugins before gave the pod no address")
	}
	if err := arrival.Tell(message); err != nil {
		return err
	}
	return types.PrintResult(configuration.PrevResult, configuration.CNIVersion)
}

// remove tells that an address is free; a runtime that removes what it never added says none, and an agent that is
// down has forgotten it already.
func remove(args *skel.CmdArgs) error {
	_, message, err := read(args)
	if err != nil || message.Address == "" {
		return err
	}
	message.Leaves = true
	_ = arrival.Tell(message)
	return nil
}

func read(args *skel.CmdArgs) (*types.PluginConf, arrival.Message, error) {
	var configuration types.PluginConf
	if err := json.Unmarshal(args.StdinData, &configuration); err != nil {
		return nil, arrival.Message{}, err
	}
	var pod names
	if err := types.LoadArgs(args.Args, &pod); err != nil {
		return nil, arrival.Message{}, err
	}
	message := arrival.Message{
		UID: string(pod.K8S_POD_UID), Pod: fmt.Sprintf("%s/%s", pod.K8S_POD_NAMESPACE, pod.K8S_POD_NAME),
	}
	if configuration.RawPrevResult == nil {
		return &configuration, message, nil
	}
	if err := version.ParsePrevResult(&configuration); err != nil {
		return nil, message, err
	}
	result, err := current.GetResult(configuration.PrevResult)
	if err != nil {
		return nil, message, err
	}
	for _, each := range result.IPs {
		if each.Address.IP.To4() != nil {
			message.Address = each.Address.IP.String()
		}
	}
	return &configuration, message, nil
}
