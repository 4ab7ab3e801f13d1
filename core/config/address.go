package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	needIPv4 = "is IPv6, which is not supported yet by this version"
	isName   = "is a name, and halo asks no name server"
)

// unicast says what keeps an address from being one that a host can have, or
// returns "".
func unicast(a netip.Addr) string {
	switch {
	case a.Is6():
		return needIPv4
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	}
	return ""
}

// looksLikeName tells a host name from a mistyped address.
func looksLikeName(word string) bool {
	return strings.ContainsFunc(word, func(r rune) bool {
		return r >= 'g' && r <= 'z' || r >= 'G' && r <= 'Z'
	}) && !strings.Contains(word, "%")
}

// hosts takes the address of one machine, of either family.
type hosts struct{ example string }

func (f hosts) expected() string { return "an IP address such as " + strconv.Quote(f.example) }

func (f hosts) read(v value) (netip.Addr, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(word)
	if err != nil {
		wrong, suggestion := brokenAddress(word)
		v.wrong(v.show()+" "+wrong, f.expected(), suggestion)
		return netip.Addr{}, false
	}
	wrong := ""
	switch {
	case address.Zone() != "":
		wrong = "has a zone, which the key interface stands for"
	case address.IsUnspecified() || address.IsMulticast() || address.Is4In6():
		wrong = "is no address that a machine can have"
	}
	if wrong != "" {
		v.wrong(v.show()+" "+wrong, f.expected(), "")
		return netip.Addr{}, false
	}
	return address, true
}

// brokenAddress says why word is no address, and what was perhaps meant.
func brokenAddress(word string) (wrong, suggestion string) {
	if prefix, err := netip.ParsePrefix(word); err == nil {
		return "has a prefix length", strconv.Quote(prefix.Addr().String())
	}
	if endpoint, err := netip.ParseAddrPort(word); err == nil {
		return "has a port", strconv.Quote(endpoint.Addr().String())
	}
	if looksLikeName(word) {
		return isName, ""
	}
	return "is not an address", ""
}

// addresses takes one IPv4 address.
type addresses struct{ example string }

func (f addresses) expected() string { return "an IPv4 address such as " + strconv.Quote(f.example) }

func (f addresses) read(v value) (netip.Addr, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(word)
	if err != nil {
		wrong, suggestion := brokenAddress(word)
		v.wrong(v.show()+" "+wrong, f.expected(), suggestion)
		return netip.Addr{}, false
	}
	if wrong := unicast(a); wrong != "" {
		v.wrong(v.show()+" "+wrong, f.expected(), "")
		return netip.Addr{}, false
	}
	return a, true
}

// prefixes takes an address of either family with or without a prefix length.
type prefixes struct{}

func (prefixes) expected() string { return `an IP address such as "192.0.2.10/24"` }

func (f prefixes) read(v value) (netip.Prefix, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return netip.Prefix{}, false
	}
	prefix, wrong := parsePrefix(word)
	switch a := prefix.Addr(); {
	case wrong != "":
	case a.Is4():
		wrong = unicast(a)
	case a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.Zone() != "":
		wrong = "is no address that a machine can have"
	}
	switch {
	case wrong != "":
	case prefix.Bits() == 0:
		wrong = "has the prefix length 0"
	case prefix.Addr().IsLoopback():
		wrong = "is a loopback address, which no other machine can reach"
	}
	if wrong != "" {
		v.wrong(v.show()+" "+wrong, f.expected(), "")
		return netip.Prefix{}, false
	}
	if edge := edgeOfNetwork(prefix); edge != "" {
		v.reader.report(SeverityWarning, v.node.start, Problem{
			Key: v.path, Message: v.show() + " is the " + edge + " address of its network", Expected: "the address of a host",
		})
	}
	return prefix, true
}

func parsePrefix(word string) (prefix netip.Prefix, wrong string) {
	address, length, sized := strings.Cut(word, "/")
	a, err := netip.ParseAddr(address)
	switch {
	case err != nil && looksLikeName(word):
		return netip.Prefix{}, isName
	case err != nil:
		return netip.Prefix{}, "is not an address"
	case !sized:
		return netip.PrefixFrom(a, a.BitLen()), ""
	}
	bits, err := strconv.Atoi(length)
	if err != nil || bits < 0 || bits > a.BitLen() {
		return netip.Prefix{}, fmt.Sprintf("has no prefix length from 1 to %d", a.BitLen())
	}
	return netip.PrefixFrom(a, bits), ""
}

// edgeOfNetwork tells the two addresses of an IPv4 network that no host has.
// Networks of two and of one address have none (RFC 3021).
func edgeOfNetwork(p netip.Prefix) string {
	if p.Bits() >= 31 || p.Addr().Is6() {
		return ""
	}
	octets := p.Addr().As4()
	host := (uint32(octets[0])<<24 | uint32(octets[1])<<16 | uint32(octets[2])<<8 | uint32(octets[3])) & (1<<(32-p.Bits()) - 1)
	switch host {
	case 0:
		return "network"
	case 1<<(32-p.Bits()) - 1:
		return "broadcast"
	}
	return ""
}

// endpoints takes an IPv4 address with a port. An address to listen on may be
// unspecified, and IPv6.
type endpoints struct {
	example string
	listen  bool
}

func (f endpoints) expected() string {
	return `an endpoint "IP:port" such as ` + strconv.Quote(f.example)
}

func (f endpoints) read(v value) (netip.AddrPort, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return netip.AddrPort{}, false
	}
	endpoint, err := netip.ParseAddrPort(word)
	wrong := ""
	switch {
	case err != nil:
		wrong = brokenEndpoint(word)
	case endpoint.Port() == 0:
		wrong = "has the port 0"
	case !f.listen:
		wrong = unicast(endpoint.Addr())
	}
	if wrong != "" {
		v.wrong(v.show()+" "+wrong, f.expected(), "")
		return netip.AddrPort{}, false
	}
	return endpoint, true
}

// brokenEndpoint says why word is not "IP:port".
func brokenEndpoint(word string) string {
	if a, err := netip.ParseAddr(word); err == nil {
		if a.Is6() {
			return needIPv4
		}
		return "has no port"
	}
	colon := strings.LastIndexByte(word, ':')
	if colon < 0 {
		if looksLikeName(word) {
			return isName
		}
		return "is not an endpoint"
	}
	host, port := word[:colon], word[colon+1:]
	if _, err := netip.ParseAddr(host); err != nil {
		if looksLikeName(host) {
			return isName
		}
		return "holds no address"
	}
	if number, err := strconv.Atoi(port); err == nil {
		return fmt.Sprintf("has the port %d, which is not from 1 to 65535", number)
	}
	return "has no port number"
}
