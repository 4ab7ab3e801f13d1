package bench

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// The pair of every takeover: a has the better priority.
const (
	priorityA = 200
	priorityB = 150
	vip       = "192.0.2.10"
)

var (
	addressA = netip.MustParseAddr("192.0.2.1")
	addressB = netip.MustParseAddr("192.0.2.2")
)

// TestTakeoverLateness measures how late the successor's first advertisement
// is: counted from the predecessor's last one, less what the protocol itself
// demands (three intervals and the skew after a crash, the skew after priority
// 0). Halo and Keepalived take turns, so that noise meets both.
func TestTakeoverLateness(t *testing.T) {
	begin(t)
	heading("lateness of a takeover, VRRPv3, median (min-max)")
	if !haveKeepalived() {
		say("keepalived is not installed: halo alone")
	}
	say("%-8s %-6s %-26s %-26s %-6s %s", "interval", "event", "halo", "keepalived", "ratio", "worst of halo")
	for _, interval := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
		results := map[string]map[string]sample{"halo": {}}
		if haveKeepalived() {
			results["keepalived"] = map[string]sample{}
		}
		t.Run(interval.String(), func(t *testing.T) {
			pairs := map[string]*pair{}
			for kind := range results {
				pairs[kind] = newPair(t, kind, interval)
			}
			for range *takeovers {
				for kind, p := range pairs {
					results[kind]["crash"] = append(results[kind]["crash"], p.crash(t))
					results[kind]["stop"] = append(results[kind]["stop"], p.stop(t))
				}
			}
		})
		for _, event := range []string{"crash", "stop"} {
			ours, theirs := results["halo"][event], results["keepalived"][event]
			if len(ours) == 0 {
				continue
			}
			compared := "-"
			if len(theirs) > 0 {
				compared = ratio(float64(ours.median()), float64(theirs.median()))
			}
			say("%-8s %-6s %-26s %-26s %-6s %s", interval, event, ours, theirs, compared, milliseconds(slices.Max(ours)))
		}
	}
}

// pair is two routers of one kind.
type pair struct {
	kind     string
	interval time.Duration
	network  *lab.Network
	capture  *capture
	hostA    *lab.Host
	a        *lab.Process
	startA   func() *lab.Process
}

func newPair(t *testing.T, kind string, interval time.Duration) *pair {
	t.Helper()
	n := lab.New(t)
	p := &pair{kind: kind, interval: interval, network: n, hostA: n.Host("a", addressA.String()+"/24")}
	hostB := n.Host("b", addressB.String()+"/24")
	p.capture = newCapture(t, n)
	if kind == "halo" {
		halo := p.hostA.Halo(haloConfig(interval, priorityA), asItComes)
		p.a = halo.Process
		p.startA = func() *lab.Process { halo.Start(t); return halo.Process }
		hostB.Halo(haloConfig(interval, priorityB), asItComes)
	} else {
		p.startA = func() *lab.Process { return p.hostA.Keepalived(keepalivedConfig(interval, priorityA)) }
		p.a = p.startA()
		hostB.Keepalived(keepalivedConfig(interval, priorityB))
	}
	p.settle(t)
	return p
}

// settle waits until a alone advertises.
func (p *pair) settle(t *testing.T) {
	t.Helper()
	p.capture.waitSole(t, addressA, max(5*p.interval, 300*time.Millisecond))
}

func skew(priority int, interval time.Duration) time.Duration {
	return time.Duration(256-priority) * interval / 256
}

// crash kills a's processes and pulls its cable at the same instant.
func (p *pair) crash(t *testing.T) time.Duration {
	t.Helper()
	for range tries {
		p.strike()
		p.a.SignalGroup(unix.SIGSTOP)
		p.hostA.Pull()
		p.a.Kill()
		last, first, ok := p.capture.takeover(t, addressA, addressB)
		p.a = p.startA()
		p.hostA.Plug()
		p.settle(t)
		if ok {
			return first.at.Sub(last.at) - 3*p.interval - skew(priorityB, p.interval)
		}
		say("%s, %s: the other router took over before the crash; done again", p.kind, p.interval)
	}
	t.Fatalf("%s, %s: no crash in %d was a takeover", p.kind, p.interval, tries)
	return 0
}

// stop ends a with SIGTERM.
func (p *pair) stop(t *testing.T) time.Duration {
	t.Helper()
	for range tries {
		p.strike()
		p.a.Signal(unix.SIGTERM)
		last, first, ok := p.capture.takeover(t, addressA, addressB)
		_ = p.a.Wait()
		p.a = p.startA()
		p.settle(t)
		if ok && last.priority == 0 {
			return first.at.Sub(last.at) - skew(priorityB, p.interval)
		}
		say("%s, %s: the other router took over before the stop; done again", p.kind, p.interval)
	}
	t.Fatalf("%s, %s: no stop in %d was a takeover", p.kind, p.interval, tries)
	return 0
}

// tries is how often a takeover is attempted that the machine spoils.
const tries = 10

// strike lets at least one advert come, and some time after it, off its beat.
func (p *pair) strike() {
	p.capture.drain()
	time.Sleep(p.interval + p.interval/3)
}

func haloConfig(interval time.Duration, priority int) string {
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = %q
addresses         = ["%s/24"]
`, priority, interval, vip)
}

func keepalivedConfig(interval time.Duration, priority int) string {
	return fmt.Sprintf(`global_defs {
  vrrp_version 3
}
vrrp_instance VI_1 {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int %g
  virtual_ipaddress {
    %s/24
  }
}
`, priority, interval.Seconds(), vip)
}
