package inet

import (
	"fmt"
	"net/netip"
	"time"
)

// Metrics are what a route tells the transport protocols. Zero leaves a value
// to the kernel.
type Metrics struct {
	// MTU is the largest packet in bytes; MTULocked forbids path MTU discovery
	// to find a smaller one.
	MTU       uint32
	MTULocked bool
	// AdvMSS is the segment size in bytes that TCP announces.
	AdvMSS uint32
	// HopLimit is the hop limit or TTL of packets sent, 1 to 255.
	HopLimit uint32
	// RTT and RTTVar are the first guesses of round trip time and its
	// variance, in eighths and quarters of a millisecond; RTOMin is the least
	// retransmission timeout, in milliseconds.
	RTT, RTTVar, RTOMin time.Duration
	// Window, CongestionWindow, InitialCongestionWindow and
	// InitialReceiveWindow are TCP's windows: the first in bytes, the others
	// in segments. SlowStartThreshold is in segments as well.
	Window                  uint32
	CongestionWindow        uint32
	InitialCongestionWindow uint32
	InitialReceiveWindow    uint32
	SlowStartThreshold      uint32
	// Reordering is how many segments may overtake one before it counts as
	// lost.
	Reordering uint32
	// ECN, QuickACK and FastOpenNoCookie turn on what TCP calls so.
	ECN, QuickACK, FastOpenNoCookie bool
	// CongestionControl is the name of TCP's algorithm.
	CongestionControl string
}

// The units of RTT and RTTVar in the kernel.
const (
	RTTUnit    = time.Millisecond / 8
	RTTVarUnit = time.Millisecond / 4
)

func (m Metrics) check(destination netip.Prefix) error {
	switch {
	case m.MTULocked && m.MTU == 0:
		return fmt.Errorf("route to %s locks an MTU that it does not give", destination)
	case m.HopLimit > 255:
		return fmt.Errorf("route to %s has the hop limit %d, want 1 to 255", destination, m.HopLimit)
	case m.RTT < 0 || m.RTTVar < 0 || m.RTOMin < 0,
		m.RTT%RTTUnit != 0 || m.RTTVar%RTTVarUnit != 0 || m.RTOMin%time.Millisecond != 0:
		return fmt.Errorf("route to %s has a time that is negative or finer than the kernel's", destination)
	case len(m.CongestionControl) > labelSize:
		return fmt.Errorf("route to %s names the impossible congestion control %q", destination, m.CongestionControl)
	}
	return nil
}

func (m Metrics) words(w *words) {
	if m.MTULocked {
		w.add("mtu lock %d", m.MTU)
	} else {
		w.number("mtu", uint64(m.MTU))
	}
	w.number("advmss", uint64(m.AdvMSS))
	w.number("hoplimit", uint64(m.HopLimit))
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"rtt", m.RTT}, {"rttvar", m.RTTVar}, {"rto_min", m.RTOMin}} {
		if t.value != 0 {
			w.add("%s %s", t.name, t.value)
		}
	}
	w.number("window", uint64(m.Window))
	w.number("cwnd", uint64(m.CongestionWindow))
	w.number("initcwnd", uint64(m.InitialCongestionWindow))
	w.number("initrwnd", uint64(m.InitialReceiveWindow))
	w.number("ssthresh", uint64(m.SlowStartThreshold))
	w.number("reordering", uint64(m.Reordering))
	w.flag("features ecn", m.ECN)
	w.flag("quickack 1", m.QuickACK)
	w.flag("fastopen_no_cookie 1", m.FastOpenNoCookie)
	if m.CongestionControl != "" {
		w.add("congctl %s", m.CongestionControl)
	}
}
