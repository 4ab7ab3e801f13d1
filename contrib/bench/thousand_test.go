package bench

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// One virtual router with that many addresses, of which only one is advertised:
// an advertisement has no room for more than 255.
const (
	thousandAddresses = 1000
	thousandInterval  = time.Second
	thousandPrefix    = "10.99."
)

// TestThousand takes over many addresses of one virtual router: how long after the
// successor's first advertisement the last of them has been announced.
func TestThousand(t *testing.T) {
	begin(t)
	heading(fmt.Sprintf("one virtual router, %d addresses: from the first advertisement to the last announcement, median (min-max)", thousandAddresses))
	results := map[string]sample{}
	for _, kind := range []string{"halo", "keepalived"} {
		if kind == "keepalived" && !haveKeepalived() {
			continue
		}
		t.Run(kind, func(t *testing.T) { results[kind] = thousand(t, kind) })
	}
	compared := "-"
	if ours, theirs := results["halo"], results["keepalived"]; len(ours) > 0 && len(theirs) > 0 {
		compared = ratio(float64(ours.median()), float64(theirs.median()))
	}
	say("halo %s, keepalived %s, ratio %s", results["halo"], results["keepalived"], compared)
}

// announced is a frame of the successor: an announcement of one of the addresses, or
// an advertisement.
type announced struct {
	at      time.Time
	address netip.Addr // invalid for an advertisement
}

func thousand(t *testing.T, kind string) (took sample) {
	t.Helper()
	n := lab.New(t)
	a, b := n.Host("a", addressA.String()+"/24"), n.Host("b", addressB.String()+"/24")
	macB := [6]byte(b.MAC("eth0"))
	frames := make(chan announced, 1<<16)
	sniff(t, n, unix.ETH_P_ALL, func(at time.Time, frame []byte) {
		if f, ok := stormDecode(frame); ok && f.mac == macB {
			frames <- announced{at, f.address}
		}
	})
	start := func(h *lab.Host, priority int) *lab.Process {
		if kind == "halo" {
			return h.Halo(thousandHalo(priority), asItComes).Process
		}
		return h.Keepalived(thousandKeepalived(priority))
	}
	has := func(h, other *lab.Host) {
		t.Helper()
		lab.Eventually(t, "all addresses are on "+h.Label(), func() bool {
			return len(h.Addresses("eth0")) > thousandAddresses && len(other.Addresses("eth0")) < 3
		})
	}
	pa := start(a, priorityA)
	has(a, b)
	start(b, priorityB)
	for range *takeovers {
		has(a, b)
		time.Sleep(2 * time.Second) // b has heard a.
		for len(frames) > 0 {
			<-frames
		}
		pa.SignalGroup(unix.SIGSTOP)
		a.Pull()
		pa.Kill()
		took = append(took, thousandTold(t, frames))
		// What the dead one has left would make its return another matter.
		for _, p := range a.Addresses("eth0") {
			if p.Addr() != addressA {
				a.DelAddress("eth0", p.String())
			}
		}
		a.Plug()
		pa = start(a, priorityA)
	}
	return took
}

// thousandTold waits until every address has been announced.
func thousandTold(t *testing.T, frames <-chan announced) time.Duration {
	t.Helper()
	var began time.Time
	told := map[netip.Addr]bool{}
	for timeout := time.After(time.Minute); ; {
		select {
		case f := <-frames:
			switch {
			case !f.address.IsValid():
				if began.IsZero() {
					began = f.at
				}
			case strings.HasPrefix(f.address.String(), thousandPrefix):
				if told[f.address] = true; len(told) == thousandAddresses-1 {
					return f.at.Sub(began)
				}
			}
		case <-timeout:
			t.Fatalf("%d of %d addresses were announced within a minute", len(told), thousandAddresses-1)
		}
	}
}

// thousandRest are the addresses that are not advertised.
func thousandRest() []string {
	list := make([]string, thousandAddresses-1)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d.%d/32", thousandPrefix, i/250, 1+i%250)
	}
	return list
}

func thousandHalo(priority int) string {
	return haloConfig(thousandInterval, priority) + `excluded_addresses = ["` + strings.Join(thousandRest(), `", "`) + "\"]\n"
}

func thousandKeepalived(priority int) string {
	text := strings.TrimSuffix(keepalivedConfig(thousandInterval, priority), "}\n")
	return text + "  virtual_ipaddress_excluded {\n    " + strings.Join(thousandRest(), "\n    ") + "\n  }\n}\n"
}
