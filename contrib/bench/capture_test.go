package bench

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// advert is one advertisement as the wire saw it, with the kernel's time.
type advert struct {
	at       time.Time
	source   netip.Addr
	priority uint8
}

// capture reads the advertisements that cross a switch.
type capture struct {
	adverts chan advert
}

// newCapture reads what crosses a switch until the test ends.
func newCapture(t *testing.T, n *lab.Network) *capture {
	t.Helper()
	c := &capture{adverts: make(chan advert, 4096)}
	sniff(t, n, unix.ETH_P_IP, func(at time.Time, frame []byte) {
		if a, ok := decode(frame[min(etherLength, len(frame)):]); ok {
			a.at = at
			c.adverts <- a
		}
	})
	return c
}

// decode finds an advertisement in an IPv4 packet. It is deliberately not
// halo's own decoder.
func decode(p []byte) (advert, bool) {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != 112 {
		return advert{}, false
	}
	header := int(p[0]&0xf) * 4
	if len(p) < header+8 || p[header]&0xf != 1 {
		return advert{}, false
	}
	return advert{source: netip.AddrFrom4([4]byte(p[12:16])), priority: p[header+2]}, true
}

// drain forgets what was captured so far.
func (c *capture) drain() {
	for {
		select {
		case <-c.adverts:
		default:
			return
		}
	}
}

// disturbed is how many adverts of the successor, and none of the predecessor,
// mean that it was active before anything was done to the predecessor.
const disturbed = 10

// takeover reads adverts until one comes from successor and returns the last
// one of predecessor before it, and it. It returns false when the successor had
// taken over before: at 10 ms a machine that stands still for 40 ms is enough.
func (c *capture) takeover(t *testing.T, predecessor, successor netip.Addr) (last, first advert, ok bool) {
	t.Helper()
	before := 0
	timeout := time.After(time.Minute)
	for {
		select {
		case a := <-c.adverts:
			switch a.source {
			case predecessor:
				last = a
			case successor:
				if !last.at.IsZero() {
					return last, a, true
				}
				if before++; before == disturbed {
					return last, a, false
				}
			}
		case <-timeout:
			t.Fatal("no takeover within a minute")
		}
	}
}

// waitSole waits until only source has advertised for a while.
func (c *capture) waitSole(t *testing.T, source netip.Addr, quiet time.Duration) {
	t.Helper()
	timeout := time.After(time.Minute)
	since := time.Now()
	for time.Since(since) < quiet {
		select {
		case a := <-c.adverts:
			if a.source != source || a.priority == 0 {
				since = time.Now()
			}
		case <-time.After(quiet):
			since = time.Now() // silence is not what we wait for
		case <-timeout:
			t.Fatalf("%s is not alone on the wire within a minute", source)
		}
	}
}
