// Package inet has the entries of the kernel's internet tables as values:
// addresses, routes, rules, and the virtual links that addresses stand on.
//
// A value says both what is wanted and what was found. Three questions are kept
// apart: ID names the entry that the kernel would call the same, Satisfies tells
// whether an entry that was found is as wanted, and fields marked as observed
// are filled in by whoever reads the kernel and are nobody's wish. The zero
// value of every field is the kernel's usual choice. String prints an entry in
// the words of iproute2, for messages and tests.
//
// The package asks nobody and changes nothing: no socket, no file, no clock. A
// reference to a link is its name, since that is what outlives the link. Read
// Address first, then Route and Rule.
package inet

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Protocol is the mark of who made an entry: the kernel stores and shows it,
// and nothing else. Addresses have it since Linux 5.18 (IFA_PROTO), rules since
// 4.17 (FRA_PROTOCOL), routes always had it (rtm_protocol).
type Protocol uint8

// Marks that others use, as far as they matter in messages, and halo's own. A
// line "104 halo" in /etc/iproute2/rt_protos makes iproute2 show the name.
const (
	ProtocolNone       Protocol = 0
	ProtocolRedirect   Protocol = 1
	ProtocolKernel     Protocol = 2
	ProtocolBoot       Protocol = 3
	ProtocolStatic     Protocol = 4
	ProtocolRA         Protocol = 9
	ProtocolZebra      Protocol = 11
	ProtocolBIRD       Protocol = 12
	ProtocolDHCP       Protocol = 16
	ProtocolKeepalived Protocol = 18
	ProtocolHalo       Protocol = 104
)

func (p Protocol) String() string {
	switch p {
	case ProtocolNone:
		return "unspec"
	case ProtocolRedirect:
		return "redirect"
	case ProtocolKernel:
		return "kernel"
	case ProtocolBoot:
		return "boot"
	case ProtocolStatic:
		return "static"
	case ProtocolRA:
		return "ra"
	case ProtocolZebra:
		return "zebra"
	case ProtocolBIRD:
		return "bird"
	case ProtocolDHCP:
		return "dhcp"
	case ProtocolKeepalived:
		return "keepalived"
	case ProtocolHalo:
		return "halo"
	}
	return strconv.Itoa(int(p))
}

// Scope is how far an address or a route reaches. The zero value is global.
type Scope uint8

// The kernel's scopes; those in between are the administrator's.
const (
	ScopeGlobal  Scope = 0
	ScopeSite    Scope = 200
	ScopeLink    Scope = 253
	ScopeHost    Scope = 254
	ScopeNowhere Scope = 255
)

func (s Scope) String() string {
	switch s {
	case ScopeGlobal:
		return "global"
	case ScopeSite:
		return "site"
	case ScopeLink:
		return "link"
	case ScopeHost:
		return "host"
	case ScopeNowhere:
		return "nowhere"
	}
	return strconv.Itoa(int(s))
}

// Optional is a value that may be left to the kernel, where zero is a value
// like any other.
type Optional[T comparable] struct {
	Set   bool
	Value T
}

// Some is an Optional that is set.
func Some[T comparable](value T) Optional[T] { return Optional[T]{Set: true, Value: value} }

// words collects the parts of an entry's text.
type words struct{ strings.Builder }

// add appends one part after a space.
func (w *words) add(format string, args ...any) {
	if w.Len() > 0 {
		w.WriteByte(' ')
	}
	fmt.Fprintf(w, format, args...)
}

// number appends a name and a value unless the value is zero.
func (w *words) number(name string, value uint64) {
	if value != 0 {
		w.add("%s %d", name, value)
	}
}

// flag appends a name if it is so.
func (w *words) flag(name string, on bool) {
	if on {
		w.add("%s", name)
	}
}

// whole is a prefix that means the same as another one in the kernel: without
// bits beyond its length, and for "everything" none at all.
func whole(p netip.Prefix) netip.Prefix {
	if !p.IsValid() || p.Bits() == 0 {
		return netip.Prefix{}
	}
	return p.Masked()
}
