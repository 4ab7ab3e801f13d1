package bench

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// The storm: so many virtual routers on one interface, with so many addresses
// each, at that pace.
const (
	stormRouters   = 255
	stormAddresses = 4
	stormInterval  = 100 * time.Millisecond
	stormTotal     = stormRouters * stormAddresses
)

// TestStorm moves a thousand addresses at once, to the other machine and back:
// how long until the last one has been announced, how much is said for it, and
// for how long both machines are active. Then what it costs to hold them.
func TestStorm(t *testing.T) {
	begin(t)
	heading(fmt.Sprintf("%d virtual routers x %d addresses, every %s", stormRouters, stormAddresses, stormInterval))
	say("%-12s %-14s %-12s %-12s %-14s %-12s %-12s %-10s %-10s", "", "crash: last", "work", "announced", "return: last", "announced", "both active", "active", "backup")
	for _, kind := range []string{"halo", "keepalived"} {
		if kind == "keepalived" && !haveKeepalived() {
			continue
		}
		t.Run(kind, func(t *testing.T) { storm(t, kind) })
	}
}

func storm(t *testing.T, kind string) {
	t.Helper()
	n := lab.New(t)
	a, b := n.Host("a", addressA.String()+"/16"), n.Host("b", addressB.String()+"/16")
	c := newStormCapture(t, n)
	start := func(h *lab.Host, priority int) *lab.Process {
		if kind == "halo" {
			return h.Halo(stormHalo(priority), asItComes).Process
		}
		return h.Keepalived(stormKeepalived(priority))
	}
	pa := start(a, priorityA)
	pb := start(b, priorityB)
	settled := func(h, other *lab.Host) {
		t.Helper()
		lab.Eventually(t, "all addresses are on "+h.Label(), func() bool {
			return len(h.Addresses("eth0")) >= stormTotal && len(other.Addresses("eth0")) < 3
		})
		time.Sleep(3 * time.Second) // The second bursts are over then, and nothing is under way.
	}
	settled(a, b)
	time.Sleep(5 * time.Second)
	const window = 5 * time.Second
	active, backup := vrrpProcess(t, kind, pa), vrrpProcess(t, kind, pb)
	activeBefore, backupBefore := cpu(t, active), cpu(t, backup)
	time.Sleep(window)
	activeCPU, backupCPU := cpu(t, active)-activeBefore, cpu(t, backup)-backupBefore

	macA, macB := [6]byte(a.MAC("eth0")), [6]byte(b.MAC("eth0"))
	c.reset()
	cut := time.Now()
	pa.SignalGroup(unix.SIGSTOP)
	a.Pull()
	pa.Kill()
	crash := c.settle(t, cut, macB, macA)

	c.reset()
	a.Plug()
	began := time.Now()
	start(a, priorityA)
	back := c.settle(t, began, macA, macB)
	say("%-12s %-14s %-12s %-12d %-14s %-12d %-12s %-10s %-10s", kind, milliseconds(crash.last), milliseconds(crash.work), crash.packets, milliseconds(back.last-back.first), back.packets,
		milliseconds(back.both), percent(float64(activeCPU)/float64(window)), percent(float64(backupCPU)/float64(window)))
}

// vrrpProcess is the process that speaks: Keepalived's is a child.
func vrrpProcess(t *testing.T, kind string, p *lab.Process) int {
	t.Helper()
	if kind == "keepalived" {
		for _, child := range children(t, p.PID()) {
			return child
		}
	}
	return p.PID()
}

func stormVIPs(router int) []string {
	list := make([]string, stormAddresses)
	for i := range list {
		n := router*stormAddresses + i
		list[i] = fmt.Sprintf("192.0.%d.%d/32", 100+n/250, 1+n%250)
	}
	return list
}

func stormHalo(priority int) string {
	var b strings.Builder
	for r := range stormRouters {
		fmt.Fprintf(&b, "[vrrp_instance.VI_%d]\ninterface = \"eth0\"\nvirtual_router_id = %d\npriority = %d\nadvert_interval = %q\naddresses = [\"%s\"]\n",
			r+1, r+1, priority, stormInterval, strings.Join(stormVIPs(r), `", "`))
	}
	return b.String()
}

func stormKeepalived(priority int) string {
	var b strings.Builder
	b.WriteString("global_defs {\n  vrrp_version 3\n}\n")
	for r := range stormRouters {
		fmt.Fprintf(&b, "vrrp_instance VI_%d {\n  state BACKUP\n  interface eth0\n  virtual_router_id %d\n  priority %d\n  advert_int %g\n  virtual_ipaddress {\n    %s\n  }\n}\n",
			r+1, r+1, priority, stormInterval.Seconds(), strings.Join(stormVIPs(r), "\n    "))
	}
	return b.String()
}

// stormCapture counts what crosses a switch: who announces which address, and who
// advertises.
type stormCapture struct{ frames chan stormFrame }

type stormFrame struct {
	at      time.Time
	mac     [6]byte
	address netip.Addr // announced; invalid for an advertisement
}

func newStormCapture(t *testing.T, n *lab.Network) *stormCapture {
	t.Helper()
	c := &stormCapture{frames: make(chan stormFrame, 1<<18)}
	sniff(t, n, unix.ETH_P_ALL, func(at time.Time, frame []byte) {
		if f, ok := stormDecode(frame); ok {
			f.at = at
			c.frames <- f
		}
	})
	return c
}

// stormDecode finds gratuitous ARP and advertisements. It is deliberately not
// halo's own decoder.
func stormDecode(p []byte) (stormFrame, bool) {
	if len(p) < 42 {
		return stormFrame{}, false
	}
	f := stormFrame{mac: [6]byte(p[6:])}
	switch binary.BigEndian.Uint16(p[12:]) {
	case unix.ETH_P_ARP:
		sender, target := netip.AddrFrom4([4]byte(p[28:])), netip.AddrFrom4([4]byte(p[38:]))
		f.address = sender
		return f, sender == target
	case unix.ETH_P_IP:
		return f, p[23] == 112 && p[etherLength+4*int(p[etherLength]&0xf)+2] != 0 // Not a goodbye.
	}
	return f, false
}

// reset forgets what was announced so far.
func (c *stormCapture) reset() {
	for len(c.frames) > 0 {
		<-c.frames
	}
}

// moved is how a move went: when the first and the last address was announced,
// counted from its cause, in how many packets, and for how long both machines
// advertised.
type moved struct {
	first, last, both time.Duration
	// work is from the first advertisement of the machine that takes over to the
	// announcement of the last address.
	work    time.Duration
	packets int
}

// settle reads until all addresses have been announced from one machine and the
// network has been quiet for a while.
func (c *stormCapture) settle(t *testing.T, cause time.Time, to, from [6]byte) (m moved) {
	t.Helper()
	const quiet = 2 * time.Second // No announcement for that long is the end.
	seen := map[netip.Addr]bool{}
	var began, ended time.Time
	last := time.Now()
	for deadline := time.After(2 * time.Minute); len(seen) < stormTotal || time.Since(last) < quiet; {
		select {
		case f := <-c.frames:
			switch {
			case f.address.IsValid():
				last = time.Now()
				m.packets++
				if f.mac != to || seen[f.address] {
					continue
				}
				seen[f.address] = true
				if m.first == 0 {
					m.first = f.at.Sub(cause)
				}
				m.last, m.work = f.at.Sub(cause), f.at.Sub(began)
			case f.mac == to && began.IsZero():
				began = f.at
			case f.mac == from && !began.IsZero():
				ended = f.at
			}
		case <-time.After(quiet):
		case <-deadline:
			t.Errorf("%d of %d addresses were announced within two minutes", len(seen), stormTotal)
			return m
		}
	}
	if !ended.IsZero() {
		m.both = ended.Sub(began)
	}
	return m
}
