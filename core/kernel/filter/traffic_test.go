package filter

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// silence is how long nobody may answer. What is not dropped is answered at once.
const silence = 300 * time.Millisecond

// What is sent to a closed address is dropped, but for what finds out where it
// is, and for services that are open.
//
//rfc:9568/6.1-3 positive negative
//rfc:9568/6.4.3-7 positive negative
//rfc:9568/6.4.3-15 positive negative
//rfc:3768/6.4.3-3 positive negative
func TestClosedAddresses(t *testing.T) {
	kerneltest.RequireTool(t, "nft")
	lan := kerneltest.NewSwitch(t, "lan")
	b := &bench{T: t, Namespace: kerneltest.NewNamespace(t, "lb"), table: New()}
	client := kerneltest.NewNamespace(t, "client")
	for _, n := range []struct {
		*kerneltest.Namespace
		last string
	}{{b.Namespace, "1"}, {client, "3"}} {
		lan.Attach(n.Namespace, "eth0", "192.0.2."+n.last+"/24", "2001:db8::"+n.last+"/64")
	}
	b.AddAddress("eth0", "192.0.2.10/32")
	b.AddAddress("eth0", "2001:db8::10/128")
	serve := func(address string) {
		l, err := b.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	own := map[netip.Addr]string{netip.MustParseAddr("192.0.2.10"): "192.0.2.1", netip.MustParseAddr("2001:db8::10"): "2001:db8::1"}
	for closed, plain := range own {
		t.Run(closed.String(), func(t *testing.T) {
			for _, port := range []string{"7", "8"} {
				serve(net.JoinHostPort(closed.String(), port))
			}
			serve(net.JoinHostPort(plain, "7"))
			wanted := Wanted{
				Closed: []netip.Addr{closed},
				Open:   []Service{{TCP, netip.AddrPortFrom(closed, 8)}},
			}
			for range 2 {
				b.apply(wanted)
				if err := reach(t, client, closed.String(), "7"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a closed address: %v, want no answer", err)
				}
				if client.Neighbour("eth0", closed.String()) == nil {
					t.Error("nobody says where the closed address is")
				}
				for _, open := range [][2]string{{closed.String(), "8"}, {plain, "7"}} {
					if err := reach(t, client, open[0], open[1]); err != nil {
						t.Errorf("port %s of %s: %v", open[1], open[0], err)
					}
				}
				b.apply(Wanted{})
				if err := reach(t, client, closed.String(), "7"); err != nil {
					t.Errorf("after opening: %v", err)
				}
			}
		})
	}
}

// reach connects, and waits for an answer a while at least.
func reach(t *testing.T, from *kerneltest.Namespace, address, port string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	for {
		c, err := from.DialContext(ctx, "tcp", net.JoinHostPort(address, port))
		if err == nil {
			return c.Close()
		}
		if slow := net.Error(nil); ctx.Err() != nil || errors.As(err, &slow) && slow.Timeout() {
			return context.DeadlineExceeded
		}
		if !errors.Is(err, unix.EHOSTUNREACH) {
			return err
		}
	}
}

func TestWithoutPrivilege(t *testing.T) {
	b := newBench(t)
	var denied error
	err := b.Do(func() error {
		// Capabilities belong to the thread. Do returns it to the pool only
		// when it can leave the namespace, for which it needs one of them.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		_, denied = b.table.Apply(everything)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(denied, unix.EPERM) {
		t.Fatalf("without capabilities: %v, want EPERM", denied)
	}
	for _, want := range []string{"table inet halo", "CAP_NET_ADMIN", "AmbientCapabilities"} {
		if !strings.Contains(denied.Error(), want) {
			t.Errorf("%q does not name %s", denied, want)
		}
	}
}
