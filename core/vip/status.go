package vip

import (
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
