package speaker_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// withHeader is a version 2 router with an authentication header.
func withHeader(t testing.TB, priority uint8, password string) vrrp.Config {
	t.Helper()
	c := config(priority)
	p, err := wire.NewPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	c.Version, c.Auth = wire.V2, wire.Auth{Type: wire.AuthHeader, Password: p}
	return c
}

func TestAHElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		a, b := newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2")
		stopA := a.run()
		defer b.run()()
		for h, priority := range map[*host]uint8{a: 150, b: 100} {
			h.set("VI_1", withHeader(t, priority, "geheim"))
			h.up()
		}
		time.Sleep(10 * time.Second)
		if a.state() != vrrp.Active || b.state() != vrrp.Backup {
			t.Errorf("%v and %v", a.state(), b.state())
		}
		if sent := a.socket(false).sendings(); len(sent) != 0 {
			t.Errorf("sent without the header: %v", sent)
		}
		sequences := func(c *conn) (list []uint32) {
			for _, s := range c.sendings() {
				list = append(list, s.sequence)
			}
			return list
		}
		if got := sequences(a.socket(true)); !slices.Equal(got, []uint32{1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("sequence numbers %v", got)
		}
		// They go on through a change of configuration, and with who takes over.
		a.set("VI_1", withHeader(t, 160, "geheim"))
		synctest.Wait()
		stopA()
		time.Sleep(time.Second)
		if got := sequences(a.socket(true)); len(got) != 9 || got[8] != 9 {
			t.Errorf("sequence numbers %v", got)
		}
		if got := sequences(b.socket(true)); b.state() != vrrp.Active || len(got) == 0 || got[0] != 10 {
			t.Errorf("%v, sequence numbers %v", b.state(), got)
		}
		if c := b.snapshot().Routers["VI_1"].Counters; c.Received != 9 || c.Dropped != [wire.DropReasonCount]uint64{} {
			t.Errorf("%+v", c)
		}
	})
}

// One advertisement has one number, however many peers it goes to.
func TestAHUnicast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		list := peers("192.0.2.1", "192.0.2.2", "192.0.2.3")
		hosts := []*host{newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2"), newHost(t, n, "192.0.2.3")}
		for i, h := range hosts {
			t.Cleanup(h.run())
			h.setUnicast("VI_1", withHeader(t, uint8(150-i), "geheim"), list)
			h.up()
		}
		time.Sleep(5 * time.Second)
		var got []uint32
		for _, s := range hosts[0].socket(true).sendings() {
			got = append(got, s.sequence)
		}
		if !slices.Equal(got, []uint32{1, 1, 2, 2}) || hosts[0].socket(true).Group || hosts[0].socket(false).Group {
			t.Errorf("sequence numbers %v", got)
		}
		for _, h := range hosts[1:] {
			if r := h.snapshot().Routers["VI_1"]; r.State != vrrp.Backup || r.Counters.Received != 2 {
				t.Errorf("%v, %+v", r.State, r.Counters)
			}
		}
	})
}

// When one side has the header and the other not, both become active, and both
// can say why.
func TestAHAgainstNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		a, b, c := newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2"), newHost(t, n, "192.0.2.3")
		plain := config(100)
		plain.Version = wire.V2
		for h, config := range map[*host]vrrp.Config{a: withHeader(t, 150, "geheim"), b: plain, c: withHeader(t, 50, "anders")} {
			t.Cleanup(h.run())
			h.set("VI_1", config)
			h.up()
		}
		time.Sleep(5 * time.Second)
		for h, want := range map[*host][]string{
			a: {"mismatch VI_1 authentication 192.0.2.2", "mismatch VI_1 authentication 192.0.2.3"},
			b: {"mismatch VI_1 authentication 192.0.2.1"},
			c: {"mismatch VI_1 authentication 192.0.2.1"},
		} {
			told := h.told("mismatch")
			if !slices.ContainsFunc(want, func(s string) bool { return slices.Contains(told, s) }) || h.state() != vrrp.Active {
				t.Errorf("%v is %v and told %v", h.source, h.state(), told)
			}
		}
		if drops := b.snapshot().Routers["VI_1"].Counters.Dropped; drops[wire.DropAuthType] == 0 {
			t.Errorf("drops %v", drops)
		}
		if drops := c.snapshot().Routers["VI_1"].Counters.Dropped; drops[wire.DropICV] == 0 {
			t.Errorf("drops %v", drops)
		}
	})
}

// Without a socket for the header only those who need it are in fault; for the
// others it is not worth a word.
func TestAHSocketFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.failing = func(s speaker.Socket) bool { return s.AH }
		h.failOpen(errDenied)
		plain := config(100)
		plain.Version = wire.V2
		h.set("VI_1", plain)
		h.up()
		time.Sleep(time.Second)
		h.want(h.told("state", "socket"), "state VI_1 initialize>backup startup at 0s")
		if s := h.snapshot(); s.SocketError != "" {
			t.Errorf("error %q", s.SocketError)
		}
		second := withHeader(t, 100, "geheim")
		second.VRID = 52
		h.set("VI_2", second)
		time.Sleep(10 * time.Second)
		told := h.told("state", "socket")
		if !slices.Contains(told, "state VI_2 initialize>fault no_socket at 1s") || !slices.Contains(told, "state VI_1 backup>active active_down at 3.609375s") {
			t.Errorf("told %v", told)
		}
		if s := h.snapshot(); !strings.Contains(s.SocketError, errDenied.Error()) {
			t.Errorf("error %q", s.SocketError)
		}
		h.failOpen(nil)
		time.Sleep(10 * time.Second)
		told = h.told("state", "socket")
		if !slices.Contains(told, "socket eth0 <nil>") || h.snapshot().SocketError != "" || h.snapshot().Routers["VI_2"].State != vrrp.Active {
			t.Errorf("told %v, %q", told, h.snapshot().SocketError)
		}
		// Nobody needs it: it is closed.
		third := config(100)
		h.set("VI_1", third)
		h.Remove("VI_2")
		synctest.Wait()
		if !h.socket(true).isClosed() || h.socket(false).isClosed() {
			t.Error("the wrong socket is open")
		}
	})
}
