package daemon

import (
	"net"

	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/vmac"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// sockets is what speakers reach the wire and the clock through.
type sockets struct {
	open  func(p place, socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error)
	alarm func() (speaker.Alarm, error)
}

// realSockets are the machine's.
func realSockets() sockets {
	return sockets{
		open:  openConn,
		alarm: newAlarm,
	}
}

// openConn opens a socket of the machine for a place.
func openConn(p place, socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error) {
	t := rawsock.Transport{
		Interface: p.iface, Index: socket.Index, Family: socket.Family, Group: socket.Group, AH: socket.AH,
		Borrowed: p.iface == p.virtual.Name,
	}
	c, err := rawsock.OpenTransport(t, ready)
	if err != nil {
		return nil, err // and not a nil *VRRP in an interface
	}
	if p.virtual.Name == "" || p.iface == p.virtual.Name || !socket.Group {
		return c, nil
	}
	l, err := openListener(p, t, ready)
	if err != nil {
		_ = c.Close() // The error that counts is the first one.
		return nil, err
	}
	return listeningConn{c, l}, nil
}

func newAlarm() (speaker.Alarm, error) {
	a, err := rawsock.NewAlarm()
	if err != nil {
		return nil, err
	}
	return a, nil
}

// listeningConn speaks through an interface, and hears what comes by the virtual
// link on it as well. That gets what other routers send from the same virtual MAC
// address: the kernel does not pass it on to the interface below.
type listeningConn struct {
	speaker.Conn
	virtual *rawsock.VRRP
}

func openListener(p place, t rawsock.Transport, ready chan<- struct{}) (*rawsock.VRRP, error) {
	link, err := net.InterfaceByName(p.virtual.Name)
	if err != nil {
		return nil, err
	}
	mac, err := net.ParseMAC(vmac.MAC(p.virtual.VRID, p.virtual.IPv6))
	if err != nil {
		return nil, err
	}
	t.Interface, t.Index, t.From = link.Name, link.Index, [6]byte(mac)
	return rawsock.OpenTransport(t, ready)
}

// Receive implements speaker.Conn.
func (c listeningConn) Receive(buf []byte) (payload []byte, meta wire.Meta, err error) {
	if payload, meta, err = c.Conn.Receive(buf); payload != nil || err != nil {
		return payload, meta, err
	}
	return c.virtual.Receive(buf)
}

// Close implements speaker.Conn.
func (c listeningConn) Close() error {
	_ = c.virtual.Close() // Nothing is lost.
	return c.Conn.Close()
}

// virtualLinkOf is the link that a place with a virtual MAC address speaks
// through, and the one whose addresses it speaks from. Both have to be there, and
// the virtual one as it is wanted.
func virtualLinkOf(view *rtnl.View, p place) (through, addressed rtnl.Link, ok bool) {
	virtual, parent, ok := vmac.Find(view.Links, p.virtual)
	if p.iface == p.virtual.Name {
		return virtual, parent, ok
	}
	parent.Up = parent.Up && virtual.Up
	return parent, parent, ok
}
