package vrrp

import (
	"strings"
	"time"
)

// FaultCause is one thing that keeps a router from taking part.
type FaultCause uint8

// The causes, gravest first: the first one present is the state's reason.
const (
	// FaultInterfaceMissing: there is no interface of that name.
	FaultInterfaceMissing FaultCause = iota
	// FaultLinkDown: it is not up or has no carrier.
	FaultLinkDown
	// FaultNoSourceAddress: it has no address to advertise from.
	FaultNoSourceAddress
	// FaultNoSocket: the socket cannot be opened.
	FaultNoSocket
	// FaultAddressesLost: the virtual addresses cannot be kept on the
	// interface, so another router should hold them.
	FaultAddressesLost
	// FaultTracker: something that is tracked without a weight is down.
	FaultTracker
	// FaultGroup: another member of the sync group has a fault. Only the Group
	// raises and clears it.
	FaultGroup
)

const faultCauses = int(FaultGroup) + 1

// String is the cause's word in logs, status and metrics.
func (c FaultCause) String() string { return c.reason().String() }

func (c FaultCause) reason() Reason {
	switch c {
	case FaultInterfaceMissing:
		return ReasonInterfaceMissing
	case FaultLinkDown:
		return ReasonLinkDown
	case FaultNoSourceAddress:
		return ReasonNoSourceAddress
	case FaultNoSocket:
		return ReasonNoSocket
	case FaultAddressesLost:
		return ReasonAddressesLost
	case FaultTracker:
		return ReasonTracker
	case FaultGroup:
		return ReasonGroup
	default:
		return ReasonNone
	}
}

// Faults is a set of causes. The zero value is the empty set: no fault.
type Faults uint8

// Has says whether the cause is in the set.
func (f Faults) Has(c FaultCause) bool { return f&(1<<c) != 0 }

// Causes lists the set, gravest first.
func (f Faults) Causes() []FaultCause {
	var list []FaultCause
	for i := range faultCauses {
		if c := FaultCause(i); f.Has(c) {
			list = append(list, c)
		}
	}
	return list
}

// String joins the causes' words.
func (f Faults) String() string {
	words := make([]string, 0, faultCauses)
	for _, c := range f.Causes() {
		words = append(words, c.String())
	}
	return strings.Join(words, ",")
}

func (f Faults) with(c FaultCause, present bool) Faults {
	if present {
		return f | 1<<c
	}
	return f &^ (1 << c)
}

// gravest is the first cause of the set, or faultCauses if it is empty.
func (f Faults) gravest() FaultCause {
	for i := range faultCauses {
		if c := FaultCause(i); f.Has(c) {
			return c
		}
	}
	return FaultCause(faultCauses)
}

// reason is that of the gravest cause.
func (f Faults) reason() Reason { return f.gravest().reason() }

// faultState is the set of causes, and when those that end by themselves do.
type faultState struct {
	causes Faults
	// until holds, per cause, when it heals; zero means when it is cleared.
	until [faultCauses]time.Time
	// details holds, per cause, what raised it.
	details [faultCauses]string
	// told is the detail that was told last.
	told string
}

// detail is that of the gravest cause.
func (s *faultState) detail() string {
	if s.causes == 0 {
		return ""
	}
	return s.details[s.causes.gravest()]
}

func (s *faultState) set(c FaultCause, present bool) {
	s.causes = s.causes.with(c, present)
	s.until[c], s.details[c] = time.Time{}, ""
}

func (s *faultState) deadline() time.Time {
	var first time.Time
	if s.causes == 0 {
		return first
	}
	for i := range s.until {
		first = earliest(first, s.until[i])
	}
	return first
}

// expire clears the causes whose time is over.
func (s *faultState) expire(now time.Time) {
	for i := range s.until {
		if due(s.until[i], now) {
			s.set(FaultCause(i), false)
		}
	}
}
