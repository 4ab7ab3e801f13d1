package balance_test

import (
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

// eachForward runs a test by nat, by dr and by tun.
func eachForward(t *testing.T, f func(t *testing.T, n *network)) {
	t.Helper()
	for _, forward := range []ipvs.Forwarding{ipvs.Masquerade, ipvs.DirectRoute, ipvs.Tunnel} {
		t.Run(forward.String(), func(t *testing.T) {
			n := newNetwork(t, forward)
			n.server("w1")
			n.server("w2")
			f(t, n)
		})
	}
}

func TestTraffic(t *testing.T) {
	eachForward(t, func(t *testing.T, n *network) {
		n.start(n.web(pool.Remove, "w1=3", "w2"))
		n.up("w1", "w2")
		n.becomes("w1=3 w2=1")
		if got := n.answers(8); !maps.Equal(got, map[string]int{"w1": 6, "w2": 2}) {
			t.Errorf("of 8 connections %v, want 6 and 2 by weighted round robin", got)
		}
		n.result("w1", pool.OutcomeFail)
		n.becomes("w2=1")
		if got := n.answers(4); got["w2"] != 4 {
			t.Errorf("of 4 connections %v, want all at w2", got)
		}
		n.up("w1")
		n.becomes("w1=3 w2=1")
	})
}

func TestQuiesceKeepsEstablishedConnections(t *testing.T) {
	eachForward(t, func(_ *testing.T, n *network) {
		n.start(n.web(pool.Quiesce, "w1", "w2"))
		n.becomes("w1=0 w2=0")
		n.up("w1")
		n.becomes("w1=1 w2=0")
		talk := n.converse()
		n.up("w2")
		n.result("w1", pool.OutcomeFail)
		n.becomes("w1=0 w2=1")
		talk.goesOn("after quiescing")
		if got := n.answers(3); got["w2"] != 3 {
			n.t.Errorf("of 3 new connections %v, want none at the quiesced server", got)
		}
		talk.goesOn("at the end")
	})
}

// R10, with packets: an established connection does not notice that the daemon
// died and another took over.
func TestAdoptKeepsEstablishedConnections(t *testing.T) {
	eachForward(t, func(_ *testing.T, n *network) {
		n.start(n.web(pool.Remove, "w1", "w2"))
		n.up("w1", "w2")
		n.becomes("w1=1 w2=1")
		talk := n.converse()
		n.kill()
		talk.goesOn("while nobody is there")
		n.answers(2)
		n.start(n.web(pool.Remove, "w1", "w2"))
		talk.goesOn("after the restart")
		n.answers(2)
		n.up("w1", "w2")
		time.Sleep(2 * n.interval)
		if got := n.kernel.operations(); got != 0 {
			n.t.Errorf("%d operations on a table that was as wanted", got)
		}
		talk.goesOn("at the end")
		if got := n.table(); got != "w1=1 w2=1" {
			n.t.Errorf("the table is %s", got)
		}
	})
}

// R11: flushed by hand, everything is back within the interval, and one drift is
// reported.
func TestFlushIsRepairedWithTraffic(t *testing.T) {
	eachForward(t, func(_ *testing.T, n *network) {
		n.start(n.web(pool.Remove, "w1", "w2"))
		n.up("w1", "w2")
		n.becomes("w1=1 w2=1")
		if out, err := n.balancer.Output("ipvsadm", "-C"); err != nil {
			n.t.Fatalf("flush: %v\n%s", err, out)
		}
		n.becomes("w1=1 w2=1")
		n.answers(2)
		n.eventually("a drift is reported", func() bool { return len(n.seen.seen()) > 0 })
		d := n.seen.seen()
		if len(d) != 1 || d[0].Total != 1 || d[0].Changes[0].What != "service removed" {
			n.t.Errorf("drifts %+v", d)
		}
	})
}

func TestSorryServerServes(t *testing.T) {
	n := newNetwork(t, ipvs.Masquerade)
	n.server("w1")
	sorry := n.server("sorry")
	c := n.web(pool.Remove, "w1")
	c.SorryServer = sorry
	n.start(c)
	n.becomes("sorry=1") // Nobody is proven yet.
	n.up("w1")
	n.becomes("w1=1")
	n.result("w1", pool.OutcomeFail)
	n.becomes("sorry=1")
	if got := n.answers(2); got["sorry"] != 2 {
		t.Errorf("of 2 connections %v, want both at the sorry server", got)
	}
}

// A change of address, forwarding, scheduler and weight in one reload, with an
// established connection to a server that stays.
func TestReloadKeepsEstablishedConnections(t *testing.T) {
	n := newNetwork(t, ipvs.Masquerade)
	n.server("w1")
	n.server("w2")
	n.server("w3")
	n.start(n.web(pool.Remove, "w1", "w2"))
	n.up("w1")
	n.becomes("w1=1")
	talk := n.converse()
	n.up("w2")
	n.becomes("w1=1 w2=1")
	c := n.web(pool.Remove, "w1=7", "w3")
	c.Service.Scheduler = "lc"
	c.Service.Persistence.Timeout = 60
	n.apply(c)
	n.becomes("w1=7")
	talk.goesOn("after the reload")
	n.up("w3")
	n.becomes("w1=7 w3=1")
	talk.goesOn("at the end")
}

func TestDatagrams(t *testing.T) {
	n := newNetwork(t, ipvs.Masquerade)
	n.server("w1")
	c := n.web(pool.Remove, "w1")
	c.Service.Key = ipvs.AddressKey(ipvs.UDP, netip.MustParseAddrPort(virtualIP+":53"))
	c.Servers[0].Address = netip.AddrPortFrom(c.Servers[0].Address.Addr(), 53)
	n.servers["w1"] = c.Servers[0].Address
	n.start(c)
	n.up("w1")
	n.becomes("w1=1")
	conn, err := n.client.DialContext(t.Context(), "udp", virtualIP+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	n.eventually("a datagram is answered", func() bool {
		buffer := make([]byte, 100)
		if _, err := conn.Write([]byte("who?")); err != nil {
			return false // A refusal of the one before.
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		size, err := conn.Read(buffer)
		return err == nil && string(buffer[:size]) == "w1"
	})
}

func TestStopLeavesNothing(t *testing.T) {
	n := newNetwork(t, ipvs.Masquerade)
	n.server("w1")
	for _, args := range []string{"-A -t 192.0.2.99:99 -s rr", "-a -t 192.0.2.99:99 -r 198.51.100.77:99 -m -w 5"} {
		if out, err := n.balancer.Output("ipvsadm", strings.Fields(args)...); err != nil {
			t.Fatalf("ipvsadm %s: %v\n%s", args, err, out)
		}
	}
	n.start(n.web(pool.Remove, "w1"))
	n.up("w1")
	n.becomes("w1=1")
	n.cancel()
	err := <-n.done
	n.done <- nil
	if err != nil {
		t.Error(err)
	}
	out, err := n.balancer.Output("ipvsadm", "-S", "-n")
	if err != nil || strings.Contains(out, virtualIP+":80") || strings.Count(out, "192.0.2.99:99") != 2 {
		t.Errorf("%v: the table is\n%s", err, out)
	}
}
