package speaker_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
)

// mishap is something that happens to one of the hosts.
type mishap struct {
	host  int
	what  int
	pause time.Duration
	value uint8
}

// Whatever happened to them, hosts that are well again have one active router,
// and the addresses are where it is.
func TestHostsConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var plan []mishap
		for range rapid.IntRange(1, 25).Draw(rt, "mishaps") {
			plan = append(plan, mishap{
				rapid.IntRange(0, 2).Draw(rt, "host"), rapid.IntRange(0, 9).Draw(rt, "what"),
				time.Duration(rapid.IntRange(0, 4000).Draw(rt, "ms")) * time.Millisecond,
				rapid.Uint8Range(1, 254).Draw(rt, "value"),
			})
		}
		way := rapid.SampledFrom([]way{toGroup, toPeers, withHeaders}).Draw(rt, "way")
		var verdict string
		synctest.Test(t, func(t *testing.T) { verdict = survive(t, way, plan) })
		if verdict != "" {
			rt.Fatal(verdict)
		}
	})
}

// way is how the hosts speak to each other.
type way string

const (
	toGroup     way = "to the group"
	toPeers     way = "to peers"
	withHeaders way = "to peers, with an authentication header"
)

// configure gives VI_1 a priority.
func (w way) configure(h *host, priority uint8) {
	h.t.Helper()
	all := peers("192.0.2.1", "192.0.2.2", "192.0.2.3")
	switch w {
	case toGroup:
		h.set("VI_1", config(priority))
	case toPeers:
		h.setUnicast("VI_1", config(priority), all)
	case withHeaders:
		h.setUnicast("VI_1", withHeader(h.t, priority, "geheim"), all)
	}
}

// survive plays a plan and returns what is wrong in the end.
func survive(t *testing.T, w way, plan []mishap) string {
	t.Helper()
	n := &network{}
	hosts := make([]*host, 0, 3)
	stops := make([]func(), 0, 3)
	for i := range 3 {
		h := newHost(t, n, fmt.Sprintf("192.0.2.%d", i+1))
		stops = append(stops, h.run())
		w.configure(h, uint8(100+10*i))
		h.up()
		hosts = append(hosts, h)
	}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for _, m := range plan {
		hosts[m.host].suffer(w, m)
		time.Sleep(m.pause)
	}
	for i, h := range hosts {
		h.recover()
		w.configure(h, uint8(100+10*i))
		h.up()
	}
	// A host may be frozen for 40 s, and for as long once more behind that.
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	for i, h := range hosts {
		want := vrrp.Backup
		if i == 2 {
			want = vrrp.Active
		}
		if got := h.state(); got != want {
			return fmt.Sprintf("host %d is %v, want %v", i, got, want)
		}
		if holds := h.holds(); holds != (want == vrrp.Active) {
			return fmt.Sprintf("host %d holds the addresses: %v", i, holds)
		}
	}
	return ""
}

func (h *host) suffer(w way, m mishap) {
	addresses := []netip.Addr{h.source}
	switch m.what {
	case 0:
		h.SetLink(speaker.Link{})
	case 1:
		h.SetLink(speaker.Link{Exists: true, Index: 2, Addresses: addresses})
	case 2:
		h.SetLink(speaker.Link{Exists: true, Index: int(m.value), Up: true, Addresses: addresses})
	case 3:
		h.failOpen(errDenied)
		h.SetLink(speaker.Link{Exists: true, Index: int(m.value), Up: true, Addresses: addresses})
	case 4:
		w.configure(h, m.value)
	case 5:
		h.Remove("VI_1")
	case 6:
		h.Post("VI_1", vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost, For: time.Second})
	case 7:
		h.mu.Lock()
		if h.block == nil {
			h.block = make(chan struct{})
		}
		h.mu.Unlock()
	case 8:
		h.freeze(10 * m.pause)
	default:
		h.recover()
		h.up()
	}
}

// freeze makes the next use of the socket take a while.
func (h *host) freeze(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) == 0 {
		return
	}
	c, frozen := h.conns[len(h.conns)-1], false
	c.hooks(func() error {
		if !frozen {
			frozen = true
			time.Sleep(d)
		}
		return nil
	}, nil)
}

// recover ends what suffer began and time does not end.
func (h *host) recover() {
	h.failOpen(nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.block != nil {
		close(h.block)
		h.block = nil
	}
}

// holds says whether the last order was to acquire.
func (h *host) holds() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range slices.Backward(h.log) {
		switch {
		case strings.HasPrefix(line, "acquire"):
			return true
		case strings.HasPrefix(line, "release"):
			return false
		}
	}
	return false
}
