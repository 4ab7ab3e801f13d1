package balancing

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// A router whose interface belongs to a VRF speaks, and holds its addresses, in
// that. It has nothing to do with balancing; the test kernel has VRFs.
//
//nolint:paralleltest // The guest has two processors.
func TestVirtualMACInAVRF(t *testing.T) {
	kerneltest.RequireIPVS(t)
	n := lab.New(t)
	inside, outside := n.Host("inside", lbFront), n.Host("outside", "192.0.2.2/24")
	client := n.Host("client", clientIP)
	ip := func(args ...string) string {
		out, err := inside.Output("ip", args...)
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	ip("link", "add", "name", "blue", "type", "vrf", "table", "1001")
	ip("link", "set", "dev", "blue", "up")
	ip("link", "set", "dev", "eth0", "master", "blue")
	inside.Sysctl("ipv4/tcp_l3mdev_accept", "1")
	l, err := inside.Listen("tcp", "0.0.0.0:7")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "blue")
			_ = c.Close()
		}
	}()
	text := strings.Replace(instance, `["192.0.2.10/24"]`, `["192.0.2.10/24", "fe80::10/64"]`, 1) + "[vrrp_instance.VI_1.vmac]\n"
	other := outside.Halo(strings.Replace(text, "150", "100", 1))
	other.WaitState(t, "VI_1", "active")
	h := inside.Halo(text)
	for _, name := range []string{"VI_1", "VI_1/ipv6"} {
		h.WaitState(t, name, "active")
		other.WaitState(t, name, "backup")
	}
	for _, link := range []string{"vrrp.51", "vrrp6.51"} {
		if shown := ip("link", "show", "dev", link); !strings.Contains(shown, "master blue") {
			t.Errorf("the link is not in the VRF: %s", shown)
		}
	}
	lab.Eventually(t, "the client is answered from the VRF", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := client.DialContext(ctx, "tcp", net.JoinHostPort(vip, "7"))
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		name, _ := io.ReadAll(c)
		return string(name) == "blue"
	})
	if mac := client.Neighbour("eth0", vip); mac.String() != "00:00:5e:00:01:33" {
		t.Errorf("the client finds the address at %s", mac)
	}
	if err := h.Terminate(); err != nil {
		t.Error(err)
	}
	other.WaitState(t, "VI_1", "active")
}
