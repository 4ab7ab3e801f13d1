package journal

import (
	"fmt"
	"strings"
	"time"
)

// Event is something that happened to an object. Which of the fields behind Reason
// are there depends on the kind and on the object. The json tags are those of
// control.Events.
type Event struct {
	// Number is one more than that of the event before it.
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"`
	Object
	// From and To are the words of two states, or two priorities. From is empty
	// where there was none.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Reason is the same words for the same cause, and Detail what people need
	// beside it.
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`

	// Faults are the causes that keep a virtual router from taking part, the
	// gravest first.
	Faults []string `json:"faults,omitempty"`
	// Priority is that of a virtual router or sync group at that time.
	Priority uint8 `json:"priority,omitempty"`
	// Peer is the router that had to do with it.
	Peer string `json:"peer,omitempty"`
	// Weight is that of a real server in the kernel's table, or the total of a
	// virtual server, and InService whether it takes new connections.
	Weight    *int  `json:"weight,omitempty"`
	InService *bool `json:"in_service,omitempty"`
}

// Object is what an event is about.
type Object struct {
	Type Type `json:"type"`
	// Name is the object's; empty for halo itself.
	Name string `json:"name,omitempty"`
	// Of is the virtual server that a real server belongs to, and the account
	// that a plugin runs as.
	Of string `json:"of,omitempty"`
}

// Type is a type of object, by its word in the configuration.
type Type string

// The types.
const (
	Halo          Type = "halo"
	Instance      Type = "vrrp_instance"
	SyncGroup     Type = "vrrp_sync_group"
	Tracker       Type = "tracker"
	Interface     Type = "interface"
	VirtualServer Type = "virtual_server"
	RealServer    Type = "real_server"
	Plugin        Type = "plugin"
)

// Kind is what sort of thing happened.
type Kind string

// The kinds.
const (
	// State: the object went from one state to another.
	State Kind = "state"
	// Fault: the object is in fault for another reason than before.
	Fault Kind = "fault"
	// Priority: a virtual router's effective priority went from one to another.
	Priority Kind = "priority"
	// Removed: a reload has taken the object out of the configuration.
	Removed Kind = "removed"
	// Mismatch: a peer disagrees with this router.
	Mismatch Kind = "mismatch"
	// Conflict: somebody else claims an address that is active here.
	Conflict Kind = "conflict"
	// Drift: somebody else has changed in the kernel what is halo's.
	Drift Kind = "drift"
	// Reload: a configuration was applied or refused.
	Reload Kind = "reload"
)

// String is a line for people, without the number and the time.
func (e Event) String() string {
	words := []string{e.Object.String(), string(e.Kind)}
	switch {
	case e.From != "" && e.To != "":
		words = append(words, e.From+" -> "+e.To)
	case e.To != "":
		words = append(words, e.To)
	}
	reason := e.Reason
	if len(e.Faults) > 1 {
		reason = strings.Join(e.Faults, ",")
	}
	if reason != "" {
		words = append(words, "("+reason+")")
	}
	if e.Priority != 0 {
		words = append(words, fmt.Sprintf("priority %d", e.Priority))
	}
	if e.Peer != "" {
		words = append(words, "peer "+e.Peer)
	}
	if e.Weight != nil {
		words = append(words, fmt.Sprintf("weight %d", *e.Weight))
	}
	if e.InService != nil {
		words = append(words, map[bool]string{true: "in service", false: "out of service"}[*e.InService])
	}
	line := strings.Join(words, " ")
	if e.Detail != "" {
		line += ": " + e.Detail
	}
	return line
}

// String is the object's type and name.
func (o Object) String() string {
	s := string(o.Type)
	if o.Type == Plugin {
		return s + " " + o.Name + " as " + o.Of
	}
	if o.Of != "" {
		s += " " + o.Of
	}
	if o.Name != "" {
		s += " " + o.Name
	}
	return s
}
