package daemon

import (
	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp"
)

// Who gives orders to the routers of the election, and whom they give orders to.

// tracked is how trackers reach the routers of an instance.
type tracked struct{ election *election }

// prioritize tells the instance's routers, or their group, what the trackers
// make of its priority.
func (t tracked) prioritize(instance string, priority uint8, detail string) {
	for _, name := range []string{instance, ipv6Name(instance)} {
		if !t.election.groups.prioritize(name, priority, detail) {
			t.election.post(name, vrrp.PriorityChanged{Priority: int(priority), Detail: detail})
		}
	}
}

func (t tracked) post(instance string, event vrrp.Event) {
	t.election.post(instance, event)
	t.election.post(ipv6Name(instance), event)
}

// holder lets the speaker of an interface give its orders to the owner of
// addresses. An order for an instance that has meanwhile moved to another
// interface, or is gone, comes too late and is dropped: the owner was told.
type holder struct {
	election *election
	place    place
}

func (h holder) current(instance string) bool {
	s := h.election.places.of(instance)
	return s != nil && s.place == h.place
}

func (h holder) Acquire(instance string) {
	if h.current(instance) {
		h.election.addresses.Acquire(instance)
	}
}

func (h holder) Release(instance string) {
	if h.current(instance) {
		h.election.addresses.Release(instance)
	}
}

func (h holder) Announce(instance string, a vrrp.Announce) {
	if h.current(instance) {
		h.election.addresses.Announce(instance, vip.Burst{Repeat: a.Repeat})
	}
}
