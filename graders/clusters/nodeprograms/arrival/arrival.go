// Package arrival is what a node's network plugin and its agent say to each other: a pod has been given an address,
// or gives it back. The API server would tell the agent only after the pod has begun.
package arrival

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Socket is where the agent listens.
const Socket = "/run/nodenetwork.sock"

// Within is how long the agent may take; the kubelet tries again afterwards.
const Within = 20 * time.Second

// Message is about the pod of a UID; Pod is how people call it.
type Message struct {
	UID     string
	Pod     string
	Address string
	Leaves  bool
}

// Answer is what the agent says once the node's rules fit the message; Problem is empty then.
type Answer struct {
	Problem string
}

// Tell sends a message and returns when the agent has acted on it.
func Tell(message Message) error {
	connection, err := net.DialTimeout("unix", Socket, Within)
	if err != nil {
		return fmt.Errorf("the agent of the node's network does not listen: %w", err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(Within)); err != nil {
		return err
	}
	if err := json.NewEncoder(connection).Encode(message); err != nil {
		return err
	}
	var answer Answer
	if err := json.NewDecoder(connection).Decode(&answer); err != nil {
		return fmt.Errorf("no answer about %s from the agent of the node's network: %w", message.Pod, err)
	}
	if answer.Problem != "" {
		return errors.New(answer.Problem)
	}
	return nil
}
