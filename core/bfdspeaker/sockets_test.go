package bfdspeaker_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/bfdspeaker"
)

func withoutSeed(o *bfdspeaker.Options) { o.Random = nil }

// A socket is open as long as a session needs it.
func TestSocketsFollowTheSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		want := func(names ...string) {
			t.Helper()
			synctest.Wait()
			expected := map[string]string{}
			for _, n := range names {
				expected[n] = ""
			}
			h.mu.Lock()
			open := len(h.receivers)
			h.mu.Unlock()
			if got := h.snapshot().Sockets; !maps.Equal(got, expected) || open != len(names) {
				t.Errorf("%v, %d open, want %v", got, open, names)
			}
		}
		want()
		for name, p := range map[string]bfd.Path{
			"a": path("192.0.2.2", "", "", false),
			"b": path("192.0.2.3", "", "", false),
			"c": path("198.51.100.1", "", "", true),
			"d": path("fe80::2", "", "eth0", false),
		} {
			if err := h.Set(name, p, bfd.Defaults()); err != nil {
				t.Fatal(err)
			}
		}
		want("udp4:3784", "udp4:4784", "udp6:3784")
		h.Remove("a")
		h.Remove("c")
		want("udp4:3784", "udp6:3784")
		h.Remove("b")
		h.Remove("d")
		want()
	})
}

// Another daemon has the port. It is said once, tried again with growing
// patience, and heals by itself.
func TestSocketThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := two(t)
		_ = n
		a.fail(errDenied, nil, nil)
		defer a.run()()
		defer b.run()()
		time.Sleep(time.Minute)
		a.want(a.told(), "socket udp4:3784 operation not permitted")
		s := a.snapshot()
		if s.Sockets["udp4:3784"] != errDenied.Error() || s.Counters.SocketsOpened != 0 || s.Counters.SocketErrors < 10 || s.Counters.SocketErrors > 30 {
			t.Errorf("%+v", s)
		}
		a.fail(nil, nil, nil)
		time.Sleep(10 * time.Second)
		told := a.told()
		if len(told) < 2 || told[0] != "socket udp4:3784 <nil>" || a.state() != bfd.Up {
			t.Errorf("%v, %q", a.state(), told)
		}
		if s := a.snapshot(); s.Sockets["udp4:3784"] != "" {
			t.Errorf("%+v", s)
		}
	})
}

// One that fails is not missed any more when its last session goes.
func TestSocketThatIsNotNeededAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		h.fail(errDenied, nil, nil)
		defer h.run()()
		h.set("peer", "192.0.2.2")
		synctest.Wait()
		h.Remove("peer")
		h.want(h.told(), "socket udp4:3784 operation not permitted",
			"peer down>admin_down administratively_down at 0s", "socket udp4:3784 <nil>")
		before := h.snapshot().Counters.SocketErrors
		time.Sleep(time.Minute)
		if after := h.snapshot().Counters.SocketErrors; after != before {
			t.Errorf("%d attempts for nobody", after-before)
		}
	})
}

// A socket that breaks is opened again, before the session has suffered.
func TestBrokenSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := two(t)
		defer a.run()()
		defer b.run()()
		time.Sleep(1500 * ms)
		a.told()
		a.mu.Lock()
		r := a.receivers[kind{}]
		a.mu.Unlock()
		r.fail(errors.New("network is down"))
		a.want(a.told(), "socket udp4:3784 network is down")
		if !r.closed {
			t.Error("the broken socket is open")
		}
		time.Sleep(time.Second)
		a.want(a.told(), "socket udp4:3784 <nil>")
		if s := a.snapshot(); s.Counters.ReceiveErrors != 1 || s.Counters.SocketsOpened != 2 || a.state() != bfd.Up {
			t.Errorf("%+v", s)
		}
	})
}

// What cannot be sent is counted, and the reason is kept until one goes out.
//
//rfc:5881/4-3 positive negative
func TestSendErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		h.fail(nil, errors.New("too many open files"), nil)
		defer h.run()()
		h.set("peer", "192.0.2.2")
		time.Sleep(2500 * ms)
		s := h.snapshot().Sessions["peer"]
		if s.Counters.SendErrors != 3 || s.Counters.Sent != 0 || s.SendError != "too many open files" || s.Port != 0 {
			t.Errorf("%+v", s)
		}
		h.fail(nil, nil, errors.New("no buffer space available"))
		time.Sleep(time.Second)
		if s := h.snapshot().Sessions["peer"]; s.SendError != "no buffer space available" || s.Port != 50000 {
			t.Errorf("%+v", s)
		}
		h.fail(nil, nil, nil)
		time.Sleep(time.Second)
		s = h.snapshot().Sessions["peer"]
		if s.Counters.SendErrors != 4 || s.Counters.Sent != 1 || s.SendError != "" || s.Port != 50000 || len(h.senders) != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// After a stall of this process what waits on the socket is read before anybody
// is declared lost.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := two(t)
		defer b.run()()
		// The stall: a packet that takes a's goroutine very long to send.
		stall := make(chan struct{})
		once := false
		a.Speaker = bfdspeaker.New(bfdspeaker.Options{
			Listen: a.listen, Observer: (*observer)(a), Random: a.draw,
			Dial: func(p bfd.Path) (bfdspeaker.Sender, error) {
				s, err := a.dial(p)
				return slow{s, func() {
					select {
					case <-stall:
						if !once {
							once = true
							time.Sleep(250 * ms)
						}
					default:
					}
				}}, err
			},
		})
		a.set("peer", "192.0.2.2")
		// b is patient, so that only a could take the session down.
		b.set("peer", "192.0.2.1", func(c *bfd.Config) { c.MinRx = 10 * time.Second })
		a.set("peer", "192.0.2.2", func(c *bfd.Config) { c.Multiplier = 200 })
		b.set("peer", "192.0.2.1")
		defer a.run()()
		time.Sleep(1500 * ms)
		a.told()
		b.told()
		close(stall)
		time.Sleep(5 * time.Second)
		a.want(a.told())
		b.want(b.told())
		if s := a.snapshot(); s.Lateness < 100*ms || s.Sessions["peer"].State != bfd.Up {
			t.Errorf("late by %v, is %v", s.Lateness, s.Sessions["peer"].State)
		}
	})
}

// A flood of packets for nobody holds up no packet of a session, and takes none
// of its peer's away.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := two(t)
		defer a.run()()
		defer b.run()()
		time.Sleep(1500 * ms)
		a.told()
		b.told()
		a.mu.Lock()
		r := a.receivers[kind{}]
		a.mu.Unlock()
		stranger := packet(bfd.Down, 0)
		payload := stranger.Append(nil)
		meta := bfd.Meta{Source: netip.MustParseAddr("203.0.113.66"), Destination: a.address, TTL: 255}
		before := a.snapshot().Counters
		for range 20 {
			for range 5000 {
				r.arrive(payload, meta)
			}
			time.Sleep(10 * ms)
		}
		after := a.snapshot().Counters
		if n := after.Dropped[bfd.DropNoSession] - before.Dropped[bfd.DropNoSession]; n != 100_000 {
			t.Errorf("%d packets were dropped", n)
		}
		a.want(a.told())
		b.want(b.told())
		if s := a.snapshot(); s.Lateness != 0 {
			t.Errorf("late by %v", s.Lateness)
		}
	})
}

// One that never ends takes all the time there is on its own port, and some of
// everybody else's: as much as reading a bufferful takes, once for all deadlines
// that have come and not for each.
func TestEndlessFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		hub := newHost(t, n, "192.0.2.1")
		stop := hub.run()
		for i := range 50 {
			peer := newHost(t, n, netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}).String())
			peer.set("peer", "192.0.2.1")
			hub.set(fmt.Sprint("peer ", i), peer.address.String())
			t.Cleanup(peer.run())
		}
		if err := hub.Set("other", path("2001:db8::2", "", "", false), bfd.Defaults()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		hub.told()
		stranger := packet(bfd.Down, 0)
		hub.mu.Lock()
		r := hub.receivers[kind{ipv6: true}]
		hub.mu.Unlock()
		r.mu.Lock()
		r.endless = &datagram{stranger.Append(nil), bfd.Meta{Source: netip.MustParseAddr("2001:db8::66"), TTL: 255}}
		r.wake()
		r.mu.Unlock()
		time.Sleep(time.Second)
		stop()
		s := hub.snapshot()
		if s.Counters.Dropped[bfd.DropNoSession] < 50_000 || s.Lateness > 100*ms {
			t.Errorf("%d packets were dropped, late by %v", s.Counters.Dropped[bfd.DropNoSession], s.Lateness)
		}
		for name, x := range s.Sessions {
			if name != "other" && (x.Counters.BecameUp != 1 || x.Diagnostic == bfd.DiagDetectionTimeExpired) {
				t.Errorf("%s: %+v", name, x)
			}
		}
	})
}

type slow struct {
	bfdspeaker.Sender

	before func()
}

func (s slow) Send(payload []byte, ttl uint8) error {
	s.before()
	return s.Sender.Send(payload, ttl)
}

// A packet counts from when the kernel took it in.
func TestArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("peer", "192.0.2.2")
		h.set("other", "192.0.2.3")
		time.Sleep(500 * ms)
		arrived := time.Now().Add(-3 * ms)
		// What other sessions have handled meanwhile does not matter.
		h.from("192.0.2.3", packet(bfd.Down, 0))
		h.from("192.0.2.2", packet(bfd.Down, 0), func(m *bfd.Meta) { m.Arrived = arrived })
		if heard := h.snapshot().Sessions["peer"].Heard; !heard.Equal(arrived) {
			t.Errorf("heard %v after its arrival", heard.Sub(arrived))
		}
		// But never before what has been handled already.
		h.from("192.0.2.2", packet(bfd.Down, 0), func(m *bfd.Meta) { m.Arrived = arrived.Add(-time.Second) })
		if heard := h.snapshot().Sessions["peer"].Heard; !heard.Equal(time.Now()) {
			t.Errorf("heard %v ago", time.Since(heard))
		}
	})
}

// A hundred sessions at different intervals, all of them on time.
func TestManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		hub := newHost(t, n, "192.0.2.1")
		defer hub.run()()
		for i := range 100 {
			peer := newHost(t, n, netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}).String())
			interval := func(c *bfd.Config) { c.MinTx, c.MinRx = time.Duration(10+i)*ms, time.Duration(10+i)*ms }
			peer.set("peer", "192.0.2.1", interval)
			hub.set(fmt.Sprint("peer ", i), peer.address.String(), interval)
			t.Cleanup(peer.run())
		}
		time.Sleep(3 * time.Second)
		hub.told()
		hub.sendings()
		time.Sleep(10 * time.Second)
		hub.want(hub.told())
		counts := map[netip.Addr]int{}
		for _, s := range hub.sendings() {
			counts[s.to]++
		}
		snapshot := hub.snapshot()
		for i := range 100 {
			s := snapshot.Sessions[fmt.Sprint("peer ", i)]
			want := int(10 * time.Second / (time.Duration(10+i) * ms))
			if got := counts[s.Path.Peer]; s.State != bfd.Up || got < want-1 || got > want+1 {
				t.Errorf("peer %d is %v, got %d packets, want %d", i, s.State, got, want)
			}
		}
		if snapshot.Lateness != 0 {
			t.Errorf("late by %v", snapshot.Lateness)
		}
	})
}
