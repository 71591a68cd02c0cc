package main

import (
	"encoding/json"
	"log"
	"net"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kubeproof/nodeprograms/arrival"
)

// arrivals are the addresses that this node's pods were given, known before the API server hears of them, and who
// waits until the rules are made for one.
type arrivals struct {
	lock      sync.Mutex
	addresses map[string]string
	waiting   map[chan<- struct{}]string
}

// listen takes what the network plugin has to say from now on; `tell` is called when there is something new.
func listen(tell func()) (*arrivals, error) {
	if err := os.Remove(arrival.Socket); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	listener, err := net.Listen("unix", arrival.Socket)
	if err != nil {
		return nil, err
	}
	found := &arrivals{addresses: map[string]string{}, waiting: map[chan<- struct{}]string{}}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				log.Fatal(err) // without it no pod would start any more; systemd starts this anew
			}
			go found.serve(connection, tell)
		}
	}()
	return found, nil
}

func (a *arrivals) serve(connection net.Conn, tell func()) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(arrival.Within))
	var message arrival.Message
	if json.NewDecoder(connection).Decode(&message) != nil {
		return
	}
	answer := arrival.Answer{}
	if message.Leaves {
		a.forget(message)
		tell()
	} else if !a.await(message, tell) {
		answer.Problem = "the rules for " + message.Pod + " were not made in time"
	}
	_ = json.NewEncoder(connection).Encode(answer)
}

func (a *arrivals) forget(message arrival.Message) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.addresses[message.UID] == message.Address {
		delete(a.addresses, message.UID)
	}
}

// await notes an address and waits until rules are made with it, for as long as the plugin does.
func (a *arrivals) await(message arrival.Message, tell func()) bool {
	made := make(chan struct{})
	a.lock.Lock()
	a.addresses[message.UID] = message.Address
	a.waiting[made] = message.UID
	a.lock.Unlock()
	tell()
	select {
	case <-made:
		return true
	case <-time.After(arrival.Within):
		a.lock.Lock()
		defer a.lock.Unlock()
		delete(a.waiting, made)
		return false
	}
}

// addressed are the pods with the addresses that they were given here. `made` is to be called when the rules for them
// are in force: whoever waits for one of them goes on.
func (a *arrivals) addressed(pods []*corev1.Pod, node string) (found []*corev1.Pod, made func()) {
	a.lock.Lock()
	defer a.lock.Unlock()
	there := map[string]bool{}
	for _, pod := range pods {
		if address := a.addresses[string(pod.UID)]; address != "" && pod.Spec.NodeName == node {
			there[string(pod.UID)] = true
			if address != pod.Status.PodIP {
				pod = pod.DeepCopy()
				pod.Status.PodIP = address
			}
		}
		found = append(found, pod)
	}
	ready := map[chan<- struct{}]bool{}
	for channel, uid := range a.waiting {
		ready[channel] = there[uid]
	}
	return found, func() {
		a.lock.Lock()
		defer a.lock.Unlock()
		for channel, known := range ready {
			if _, waits := a.waiting[channel]; waits && known {
				delete(a.waiting, channel)
				close(channel)
			}
		}
	}
}
