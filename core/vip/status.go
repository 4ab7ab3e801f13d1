package vip

import (
	"fmt"
	"net/netip"
	"time"
)

// Drift is an address that was not as it should be.
type Drift struct {
	Instance  string
	Interface string
	Addresses []netip.Prefix
	Cause     Cause
	// Err is why it could not be put right; nil when it was.
	Err error
}

// Cause is how addresses came to be other than they should be.
type Cause uint8

// The causes.
const (
	// Removed: somebody else removed addresses of an active instance.
	Removed Cause = iota
	// Recreated: the interface was deleted and made again under an active
	// instance.
	Recreated
	// LeftOver: addresses of an instance that is not active were there when
	// it was first looked at, as after a crash.
	LeftOver
	// Appeared: somebody else added addresses of an instance that is not
	// active.
	Appeared
)

// String is the cause's word in logs and status.
func (c Cause) String() string {
	switch c {
	case Removed:
		return "removed"
	case Recreated:
		return "interface_recreated"
	case LeftOver:
		return "left_over"
	case Appeared:
		return "appeared"
	default:
		return "unknown"
	}
}

// Status is the state of one instance's addresses.
type Status struct {
	Interface string
	// Holding means that the addresses are to be on the interface.
	Holding bool
	// Lost means that they could not be kept there; see Observer.
	Lost bool
	// Error is why the last attempt to change something failed, empty when
	// it did not.
	Error string
	// Announced is the number of gratuitous ARP packets sent so far.
	Announced uint64
	// Addresses are in the order of the configuration.
	Addresses []AddressStatus
}

// AddressStatus is the state of one address.
type AddressStatus struct {
	Address netip.Prefix
	// Present means that it was on the interface when last looked.
	Present bool
	// Since is when Present last changed; zero if the address was never
	// looked for.
	Since time.Time
	// Restores is how many times it was put back.
	Restores int
}

// Snapshot is the state of all instances by name.
func (o *Owner) Snapshot() map[string]Status {
	o.mu.Lock()
	keepers := make([]*keeper, 0, len(o.keepers))
	for _, k := range o.keepers {
		keepers = append(keepers, k)
	}
	o.mu.Unlock()
	snapshot := make(map[string]Status, len(keepers))
	for _, k := range keepers {
		snapshot[k.name] = k.snapshot()
	}
	return snapshot
}

// belief is what a keeper holds to be on the interface, for comparing with
// what the links show. It is replaced, never changed.
type belief struct {
	iface   string
	index   int
	idle    bool // nothing is to be concluded from the links
	holding bool
	// addresses should be there when holding, should not when not.
	addresses []netip.Prefix
}

func (k *keeper) believes() belief {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.belief
}

func (k *keeper) snapshot() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	s.Announced = k.sent.Load()
	return s // The slice is replaced, never changed.
}

// note remembers an error for the status.
func (k *keeper) note(err error) { k.lastErr = err }

// publish makes the keeper's state visible to others.
func (k *keeper) publish() {
	s := Status{
		Interface: k.config.Interface,
		Holding:   k.phase == acquiring || k.phase == holding,
		Lost:      k.lost,
		Addresses: make([]AddressStatus, len(k.config.Addresses)),
	}
	if k.lastErr != nil {
		s.Error = k.lastErr.Error()
	}
	b := belief{
		iface: k.config.Interface, index: k.index, holding: s.Holding,
		idle: k.lost || (!s.Holding && !k.swept),
	}
	for i, p := range k.config.Addresses {
		a := k.addresses[p]
		s.Addresses[i] = a.AddressStatus
		// One that is missing while holding is waiting for its time. One that
		// is there while not holding may be another instance's, for now.
		if s.Holding && a.Present || !s.Holding && !k.kept[p] {
			b.addresses = append(b.addresses, p)
		}
	}
	if k.away {
		b.index = 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status, k.belief = s, b
}

// brief names addresses in an error: the first few, and how many more.
func brief(addresses []netip.Prefix) string {
	const few = 4
	text := fmt.Sprint(addresses[:min(few, len(addresses))])
	if more := len(addresses) - few; more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}
