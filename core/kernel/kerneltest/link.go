package kerneltest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Veth joins two namespaces with a virtual cable, both ends up and without
// addresses. It returns when frames pass.
func Veth(a *Namespace, nameA string, b *Namespace, nameB string) {
	a.tb.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = nameA
	err := a.handle.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(b.fd),
	})
	if err != nil {
		a.tb.Fatalf("join %s in %s and %s in %s: %v", nameA, a.name, nameB, b.name, err)
	}
	a.SetUp(nameA)
	b.SetUp(nameB)
	a.AwaitCarrier(nameA)
	b.AwaitCarrier(nameB)
}

// Switch is an Ethernet switch: a bridge in a namespace of its own, each of
// whose ports leads to one interface of one namespace.
type Switch struct {
	*Namespace
	bridge int // ifindex of the bridge
}

// NewSwitch makes a switch without ports.
func NewSwitch(tb testing.TB, label string) *Switch {
	tb.Helper()
	s := &Switch{Namespace: NewNamespace(tb, label)}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "switch"
	if err := s.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		tb.Fatalf("make bridge in %s: %v", s.name, err)
	}
	s.bridge = s.Index("switch")
	s.SetUp("switch")
	return s
}

// Attach joins the interface ifname of a namespace, which it creates, to a new
// port of the switch, and gives it addresses ("192.0.2.1/24"). The port's name
// in the switch is the result: SetDown on it pulls the cable.
func (s *Switch) Attach(n *Namespace, ifname string, addresses ...string) (port string) {
	s.tb.Helper()
	links, err := s.handle.LinkList()
	if err != nil {
		s.tb.Fatalf("list ports of %s: %v", s.name, err)
	}
	for i := len(links); ; i++ {
		port = "port" + strconv.Itoa(i)
		if !slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == port }) {
			break
		}
	}
	Veth(s.Namespace, port, n, ifname)
	if err := s.handle.LinkSetMasterByIndex(s.link(port), s.bridge); err != nil {
		s.tb.Fatalf("attach %s to %s: %v", port, s.name, err)
	}
	for _, a := range addresses {
		n.AddAddress(ifname, a)
	}
	return port
}

// SetUp sets an interface up.
func (n *Namespace) SetUp(ifname string) {
	n.tb.Helper()
	if err := n.handle.LinkSetUp(n.link(ifname)); err != nil {
		n.tb.Fatalf("set %s in %s up: %v", ifname, n.name, err)
	}
}

// AwaitCarrier waits until an interface that was set up can send. The kernel
// starts its queue a moment after both ends of a cable are up, and drops
// without a word what is sent before.
func (n *Namespace) AwaitCarrier(ifname string) {
	n.tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); n.link(ifname).Attrs().OperState != netlink.OperUp; {
		if time.Now().After(deadline) {
			n.tb.Fatalf("%s in %s never gets a carrier", ifname, n.name)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// SetDown sets an interface down. Its peer at the other end of the cable
// loses its carrier.
func (n *Namespace) SetDown(ifname string) {
	n.tb.Helper()
	if err := n.handle.LinkSetDown(n.link(ifname)); err != nil {
		n.tb.Fatalf("set %s in %s down: %v", ifname, n.name, err)
	}
}

// DeleteLink deletes an interface, and with it the other end of its cable.
func (n *Namespace) DeleteLink(ifname string) {
	n.tb.Helper()
	if err := n.handle.LinkDel(n.link(ifname)); err != nil {
		n.tb.Fatalf("delete %s in %s: %v", ifname, n.name, err)
	}
}

// HasLink tells whether an interface of that name exists.
func (n *Namespace) HasLink(ifname string) bool {
	n.tb.Helper()
	_, err := n.handle.LinkByName(ifname)
	if err != nil && !errors.As(err, new(netlink.LinkNotFoundError)) {
		n.tb.Fatalf("find %s in %s: %v", ifname, n.name, err)
	}
	return err == nil
}

// Index is an interface's index.
func (n *Namespace) Index(ifname string) int {
	n.tb.Helper()
	return n.link(ifname).Attrs().Index
}

// MAC is an interface's hardware address.
func (n *Namespace) MAC(ifname string) net.HardwareAddr {
	n.tb.Helper()
	return n.link(ifname).Attrs().HardwareAddr
}

// AddAddress adds an address such as "192.0.2.1/24" or "2001:db8::1/64", which
// is usable at once.
func (n *Namespace) AddAddress(ifname, address string) {
	n.tb.Helper()
	link, a := n.link(ifname), n.parse(address)
	if err := n.handle.AddrAdd(link, a); err != nil {
		n.tb.Fatalf("add address %s to %s in %s: %v", address, ifname, n.name, err)
	}
	if a.IP.To4() == nil && link.Attrs().Flags&net.FlagUp != 0 {
		n.awaitLocal(ifname, a.IP)
	}
}

// awaitLocal waits until an IPv6 address takes packets. The kernel makes its route
// on a queue of its own, after the address is there and answers to neighbor
// discovery; until then it drops what comes for the address.
func (n *Namespace) awaitLocal(ifname string, ip net.IP) {
	n.tb.Helper()
	wanted := &netlink.Route{
		Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, LinkIndex: n.Index(ifname),
		Dst: &net.IPNet{IP: ip, Mask: net.CIDRMask(128, 128)},
	}
	const by = netlink.RT_FILTER_TABLE | netlink.RT_FILTER_TYPE | netlink.RT_FILTER_OIF | netlink.RT_FILTER_DST
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		routes, err := n.handle.RouteListFiltered(netlink.FAMILY_V6, wanted, by)
		switch {
		case err != nil && !errors.Is(err, netlink.ErrDumpInterrupted):
			n.tb.Fatalf("list local routes of %s: %v", n.name, err)
		case len(routes) > 0:
			return
		case time.Now().After(deadline):
			n.tb.Fatalf("%s on %s in %s never takes packets", ip, ifname, n.name)
		}
	}
}

// DelAddress deletes an address such as "192.0.2.1/24".
func (n *Namespace) DelAddress(ifname, address string) {
	n.tb.Helper()
	if err := n.handle.AddrDel(n.link(ifname), n.parse(address)); err != nil {
		n.tb.Fatalf("delete address %s from %s in %s: %v", address, ifname, n.name, err)
	}
}

// GivenAddressesOnly takes from an interface the IPv6 address that the kernel has
// made for it, and keeps it from making more.
func (n *Namespace) GivenAddressesOnly(ifname string) {
	n.tb.Helper()
	n.Sysctl("ipv6/conf/"+ifname+"/addr_gen_mode", "1") // none
	for _, p := range n.Addresses6(ifname) {
		n.DelAddress(ifname, p.String())
	}
}

// Addresses are an interface's IPv4 addresses in ascending order; none where
// there is no such interface.
func (n *Namespace) Addresses(ifname string) []netip.Prefix {
	n.tb.Helper()
	return n.addresses(ifname, netlink.FAMILY_V4)
}

// Addresses6 are an interface's IPv6 addresses in ascending order, among them
// the one that the kernel makes by itself; none where there is no such
// interface.
func (n *Namespace) Addresses6(ifname string) []netip.Prefix {
	n.tb.Helper()
	return n.addresses(ifname, netlink.FAMILY_V6)
}

func (n *Namespace) addresses(ifname string, family int) []netip.Prefix {
	n.tb.Helper()
	link, err := n.handle.LinkByName(ifname)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	var list []netlink.Addr
	for err == nil {
		// A dump that changes meanwhile is repeated.
		list, err = n.handle.AddrList(link, family)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
		err = nil
	}
	if err != nil {
		n.tb.Fatalf("list addresses of %s in %s: %v", ifname, n.name, err)
	}
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, a := range list {
		ones, _ := a.Mask.Size()
		ip, _ := netip.AddrFromSlice(a.IP)
		prefixes = append(prefixes, netip.PrefixFrom(ip.Unmap(), ones))
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return prefixes
}

// HasAddress tells whether an interface has the address, with whatever prefix
// length.
func (n *Namespace) HasAddress(ifname, address string) bool {
	n.tb.Helper()
	ip, family := netip.MustParseAddr(address), netlink.FAMILY_V4
	if ip.Is6() {
		family = netlink.FAMILY_V6
	}
	return slices.ContainsFunc(n.addresses(ifname, family), func(p netip.Prefix) bool { return p.Addr() == ip })
}

// AddRoute adds a route to a destination ("203.0.113.0/24" or "default")
// through a gateway.
func (n *Namespace) AddRoute(destination, gateway string) {
	n.tb.Helper()
	route := &netlink.Route{Gw: net.ParseIP(gateway)}
	if destination != "default" {
		route.Dst = n.parse(destination).IPNet
	}
	if err := n.handle.RouteAdd(route); err != nil {
		n.tb.Fatalf("add route to %s via %s in %s: %v", destination, gateway, n.name, err)
	}
}

// Neighbour is the hardware address that the namespace has learnt for an
// address, nil while it knows none.
func (n *Namespace) Neighbour(ifname, address string) net.HardwareAddr {
	n.tb.Helper()
	ip, family := net.ParseIP(address), netlink.FAMILY_V4
	if ip.To4() == nil {
		family = netlink.FAMILY_V6
	}
	list, err := n.handle.NeighList(n.Index(ifname), family)
	if err != nil {
		n.tb.Fatalf("list neighbours of %s in %s: %v", ifname, n.name, err)
	}
	for _, neigh := range list {
		if neigh.IP.Equal(ip) && neigh.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) == 0 {
			return neigh.HardwareAddr
		}
	}
	return nil
}

// LearnNeighbour makes the namespace resolve an address by sending it one
// datagram to the discard port. The answer arrives later: see Neighbour.
func (n *Namespace) LearnNeighbour(address string) {
	n.tb.Helper()
	c, err := n.DialContext(n.tb.Context(), "udp", net.JoinHostPort(address, "9"))
	if err == nil {
		_, err = c.Write([]byte{0})
		_ = c.Close()
	}
	if err != nil {
		n.tb.Fatalf("send datagram from %s to %s: %v", n.name, address, err)
	}
}

func (n *Namespace) link(ifname string) netlink.Link {
	n.tb.Helper()
	l, err := n.handle.LinkByName(ifname)
	if err != nil {
		n.tb.Fatalf("find %s in %s: %v", ifname, n.name, err)
	}
	return l
}

func (n *Namespace) parse(address string) *netlink.Addr {
	n.tb.Helper()
	a, err := netlink.ParseAddr(address)
	if err != nil {
		n.tb.Fatalf("parse address %q: %v", address, err)
	}
	if a.IP.To4() != nil {
		// As with `ip address add`: no broadcast address unless asked for.
		a.Broadcast = net.IPv4zero
	} else {
		// Usable at once, without looking for another owner for a second.
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}
