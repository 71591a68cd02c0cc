package main

import (
	"errors"
	"os/exec"
	"strings"
)

// enforcer holds this node's rules against what the cluster's policies want.
type enforcer struct {
	last string
}

// apply makes the rules fit; rules that are there already are not made again.
func (e *enforcer) apply(w *world) error {
	made := w.rules()
	if text := made.text(nil); text == e.last {
		return nil
	}
	stale, err := staleChains(made)
	if err != nil {
		return err
	}
	if err := run(made.text(stale), "iptables-restore", "-w", "--noflush"); err != nil {
		return err
	}
	e.last = made.text(nil)
	return errors.Join(jump("FORWARD"), jump("INPUT"))
}

// staleChains are the chains of ours that are there and no longer wanted.
func staleChains(made chains) ([]string, error) {
	printed, err := exec.Command("iptables-save", "-t", policyTable).Output()
	if err != nil {
		return nil, err
	}
	var stale []string
	for _, line := range strings.Split(string(printed), "\n") {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, ":"), " ")
		if _, wanted := made[name]; strings.HasPrefix(line, ":"+chainPrefix) && !wanted {
			stale = append(stale, name)
		}
	}
	return stale, nil
}

// jump has all packets of a built-in chain looked at.
func jump(chain string) error {
	rule := []string{chain, "-j", policyChain}
	if run("", "iptables", append([]string{"-w", "-t", policyTable, "-C"}, rule...)...) == nil {
		return nil
	}
	return run("", "iptables", append([]string{"-w", "-t", policyTable, "-A"}, rule...)...)
}
