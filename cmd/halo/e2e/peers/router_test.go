package peers

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// vrid is the virtual router of all groups.
const vrid = 51

// settings are what all kinds of router understand.
type settings struct {
	form
	host      int // its number, which the address it speaks from has
	priority  int
	noPreempt bool
}

// peers are the addresses of all other routers there may be.
func (s settings) peers() []string {
	var list []string
	for host := 1; host <= most; host++ {
		if host != s.host {
			list = append(list, s.source(host))
		}
	}
	return list
}

// program is what lab has in common for all kinds of router.
type program interface {
	SignalGroup(signal unix.Signal)
	Kill()
	Terminate() error
	Alive() bool
	Output() string
}

// condition is what the test did to a router last.
type condition int

const (
	running condition = iota
	frozen
	ended
)

// router is one speaker on one host of a group.
type router struct {
	program
	peer
	kind string // the peer's name in the table
	settings
	t         testing.TB
	host      *lab.Host
	source    string // the address its advertisements come from
	condition condition
	halo      *lab.Halo // nil unless it is one

	again func()                  // starts it after an end, with the present settings
	owns  func() bool             // has the virtual address, and could be reached at it
	mac   func() net.HardwareAddr // at which the virtual address is found while it owns it
}

func startHalo(r *router) {
	r.halo = r.host.Halo(haloConfig(r.settings))
	r.program = r.halo
	r.again = func() {
		r.halo.Write(r.t, haloConfig(r.settings))
		r.halo.Start(r.t)
	}
	r.onInterface()
}

func startKeepalived(r *router) {
	r.again = func() { r.program = r.host.Keepalived(keepalivedConfig(r.settings)) }
	r.again()
	r.onInterface()
}

// onInterface is for those who put the virtual address on eth0, or on a link with
// the virtual MAC address.
func (r *router) onInterface() {
	r.owns = func() bool { return r.host.HasAddress(r.link(), r.vip()) }
	r.mac = func() net.HardwareAddr {
		if !r.vmac {
			return r.host.MAC("eth0")
		}
		mac, err := net.ParseMAC(r.virtualMAC())
		if err != nil {
			r.t.Fatal(err)
		}
		return mac
	}
}

func startFRR(r *router) {
	addresses := r.vips()
	if r.ipv6 {
		r.source = fmt.Sprintf("fe80::1:%x", r.settings.host)
		addresses[0] = r.source + "/64"
	}
	frr := r.host.FRR(vrid, addresses, frrConfig(r.settings))
	r.program = frr
	r.again = func() {
		frr.Configure(frrConfig(r.settings))
		frr.Start()
	}
	r.owns, r.mac = frr.Serves, frr.MAC
}

func haloConfig(s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = %d
version           = %d
priority          = %d
advert_interval   = %q
preempt           = %t
addresses         = [%s]
`, vrid, s.version, s.priority, s.interval, !s.noPreempt, quoted(s.vips()))
	if s.vmac {
		b.WriteString("vmac = true\n")
	}
	if s.unicast {
		fmt.Fprintf(&b, "source_address = %q\nunicast_peers = [", s.source(s.host))
		for _, p := range s.peers() {
			// Nobody is further away than the next host; but over IPv6 Keepalived's
			// packets leave with the hop limit of any other program.
			if s.ipv6 {
				fmt.Fprintf(&b, "%q, ", p)
			} else {
				fmt.Fprintf(&b, "{ address = %q, min_ttl = 255 }, ", p)
			}
		}
		b.WriteString("]\n")
	}
	if s.auth != "" {
		fmt.Fprintf(&b, "\n[vrrp_instance.VI_1.authentication]\ntype = %q\npassword = %q\n", s.auth, password)
	}
	return b.String()
}

func quoted(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = strconv.Quote(w)
	}
	return strings.Join(list, ", ")
}

func keepalivedConfig(s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global_defs {
  vrrp_version %d
}
vrrp_instance VI_1 {
  state BACKUP
  interface eth0
  virtual_router_id %d
  priority %d
  advert_int %g
`, s.version, vrid, s.priority, s.interval.Seconds())
	if s.noPreempt {
		b.WriteString("  nopreempt\n")
	}
	if s.vmac {
		fmt.Fprintf(&b, "  use_vmac %s\n", s.link())
	}
	if s.auth != "" {
		fmt.Fprintf(&b, "  authentication {\n    auth_type %s\n    auth_pass %s\n  }\n", strings.ToUpper(s.auth), password)
	}
	if s.unicast {
		fmt.Fprintf(&b, "  unicast_src_ip %s\n  unicast_peer {\n    %s\n  }\n", s.source(s.host), strings.Join(s.peers(), "\n    "))
	}
	fmt.Fprintf(&b, "  virtual_ipaddress {\n    %s\n  }\n}\n", strings.Join(s.vips(), "\n    "))
	return b.String()
}

func frrConfig(s settings) string {
	lines := []string{
		fmt.Sprintf("version %d", s.version),
		fmt.Sprintf("priority %d", s.priority),
		fmt.Sprintf("advertisement-interval %d", s.interval.Milliseconds()),
	}
	for _, v := range s.vips() {
		address, _, _ := strings.Cut(v, "/")
		word := "ip "
		if s.ipv6 {
			word = "ipv6 "
		}
		lines = append(lines, word+address)
	}
	if s.noPreempt {
		lines = append(lines, "no preempt")
	}
	var b strings.Builder
	for _, l := range lines {
		word := "vrrp"
		if rest, ok := strings.CutPrefix(l, "no "); ok {
			word, l = "no vrrp", rest
		}
		fmt.Fprintf(&b, "%s %d %s\n", word, vrid, l)
	}
	return b.String()
}

// settled waits until a router that has just become active is done with that.
// Keepalived which is told to stop in the middle of its first announcements is
// killed by its own parent and leaves the address behind.
func (r *router) settled() {
	if r.kind != "keepalived" {
		return
	}
	const burst = 5 // announcements at once
	said := "Sending gratuitous ARP on "
	if r.ipv6 {
		said = "Sending unsolicited Neighbour Advert on "
	}
	lab.Eventually(r.t, "Keepalived has announced the address", func() bool {
		return strings.Count(r.Output(), said+r.link()+" for "+r.vip()+"\n") >= burst
	})
}

// The following do to a router what happens to machines and programs.

func (r *router) kill() {
	r.Kill()
	r.condition = ended
}

// terminate ends the router by SIGTERM, upon which it has to give up the address.
func (r *router) terminate() {
	r.t.Helper()
	if r.owns() {
		r.settled()
	}
	err := r.Terminate()
	r.condition = ended
	// The lab gives the pipe of an ended program 100 ms to run dry, which says
	// nothing about the program.
	if err != nil && r.kind == "halo" && !errors.Is(err, exec.ErrWaitDelay) {
		r.t.Errorf("halo on %s ended with %v after SIGTERM, want success", r.host.Label(), err)
	}
	if r.cannotTidy == "" && r.owns() {
		r.t.Errorf("%s on %s was told to stop and left the address behind", r.kind, r.host.Label())
	}
}

func (r *router) freeze() {
	r.SignalGroup(unix.SIGSTOP)
	r.condition = frozen
}

func (r *router) thaw() {
	r.SignalGroup(unix.SIGCONT)
	r.condition = running
}

// comeBack starts a router that has ended.
func (r *router) comeBack() {
	r.t.Helper()
	r.again()
	r.condition = running
}
