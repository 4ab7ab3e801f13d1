// Package filter keeps halo's rules in the kernel's packet filter, nftables:
// those that keep a router from accepting what is sent to virtual addresses
// (Accept_Mode, RFC 9568 section 6.1), and those that keep the kernel from
// reporting group membership from links with a virtual MAC address, which would
// lead switches to the wrong port.
//
// All rules stand in one table of their own, which nobody else's rules are in.
// A Table compares what is there with what is wanted, and replaces the whole
// table in one transaction where they differ, so that there is no moment
// without rules. What an earlier run has left is adopted like that; a table of
// the same name without halo's mark is somebody else's and never touched.
//
// The package decides nothing. It speaks netlink in the network namespace of
// the calling thread and waits for the kernel. Read Wanted first, then Table.
package filter

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// TableName is the name of halo's table, in the family inet.
const TableName = "halo"

// Wanted is what the rules are to do. The zero value is no rule and no table.
type Wanted struct {
	// Silent are names of links by which no reports of group membership (IGMP,
	// MLD) leave.
	Silent []string
	// Closed are addresses that this machine accepts no packets for, but for
	// neighbor solicitations and advertisements. What is forwarded or balanced
	// to another machine is not accepted and passes.
	Closed []netip.Addr
	// Open are services on closed addresses that this machine may serve itself,
	// when they are balanced to it.
	Open []Service
}

// Service is a port of an address.
type Service struct {
	Protocol Protocol
	netip.AddrPort
}

// Protocol is an IP protocol number.
type Protocol uint8

// The protocols that have ports.
const (
	TCP  Protocol = unix.IPPROTO_TCP
	UDP  Protocol = unix.IPPROTO_UDP
	SCTP Protocol = unix.IPPROTO_SCTP
)

// Empty tells whether nothing is wanted.
func (w Wanted) Empty() bool { return len(w.Silent) == 0 && len(w.Closed) == 0 }

// sorted is the same with each thing once, in order.
func (w Wanted) sorted() Wanted {
	w.Silent, w.Closed = slices.Clone(w.Silent), slices.Clone(w.Closed)
	slices.Sort(w.Silent)
	slices.SortFunc(w.Closed, netip.Addr.Compare)
	w.Silent, w.Closed = slices.Compact(w.Silent), slices.Compact(w.Closed)
	closed := make(map[netip.Addr]bool, len(w.Closed))
	for _, a := range w.Closed {
		closed[a] = true
	}
	// What is not closed needs no opening.
	w.Open = slices.DeleteFunc(slices.Clone(w.Open), func(s Service) bool { return !closed[s.Addr()] })
	slices.SortFunc(w.Open, func(a, b Service) int {
		if c := a.AddrPort.Compare(b.AddrPort); c != 0 {
			return c
		}
		return int(a.Protocol) - int(b.Protocol)
	})
	w.Open = slices.Compact(w.Open)
	return w
}

// keyOfLink is a link's name as the kernel compares it: with zeros behind it.
func keyOfLink(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, strings.TrimRight(name, "\x00"))
	return key
}

// key is a service in the registers: each part fills whole ones of four bytes.
func (s Service) key() []byte {
	key := s.Addr().AsSlice()
	key = append(key, byte(s.Protocol), 0, 0, 0)
	return append(key, byte(s.Port()>>8), byte(s.Port()), 0, 0)
}
