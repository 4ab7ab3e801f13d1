package e2e

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// The network of the election tests.
const (
	vip     = "192.0.2.10"
	aSource = "192.0.2.1"
	bSource = "192.0.2.2"
)

// settings are what the election tests vary; both kinds of router understand
// them.
type settings struct {
	version  int
	priority int
	interval string // seconds, as Keepalived writes them: "1", "0.25"
	password string // version 2 only; empty = none
	preempt  bool
	vips     []string // with prefix length
}

// router is one speaker of VRRP on one host: halo or Keepalived.
type router struct {
	*lab.Process
	t     testing.TB
	host  *lab.Host
	halo  *lab.Halo // nil for Keepalived
	start func() *lab.Process
}

// newRouter starts a router of kind "halo" or "keepalived" on host.
func newRouter(t testing.TB, kind string, host *lab.Host, s settings) *router {
	t.Helper()
	r := &router{t: t, host: host}
	switch kind {
	case "halo":
		r.halo = host.Halo(haloConfig(s))
		r.Process = r.halo.Process
		r.start = func() *lab.Process { r.halo.Start(t); return r.halo.Process }
	case "keepalived":
		r.start = func() *lab.Process { return host.Keepalived(keepalivedConfig(s)) }
		r.Process = r.start()
	default:
		t.Fatalf("no router of kind %q", kind)
	}
	return r
}

// settled waits until a router that has just become active is done with that.
// Keepalived which is told to stop in the middle of its first announcements is
// killed by its own parent and leaves the addresses behind.
func (r *router) settled(s settings) {
	r.t.Helper()
	if r.halo != nil {
		return
	}
	last, _, _ := strings.Cut(s.vips[len(s.vips)-1], "/")
	const burst = 5 // announcements of each address
	lab.Eventually(r.t, "Keepalived has announced "+last, func() bool {
		return strings.Count(r.Output(), "Sending gratuitous ARP on eth0 for "+last+"\n") >= burst
	})
}

// again starts a router that has ended.
func (r *router) again() { r.Process = r.start() }

// freeze stops every process of the router where it stands; thaw lets them go on.
func (r *router) freeze() { r.SignalGroup(unix.SIGSTOP) }
func (r *router) thaw()   { r.SignalGroup(unix.SIGCONT) }

func haloConfig(s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
version           = %d
priority          = %d
advert_interval   = "%ss"
preempt           = %t
addresses         = [%s]
`, s.version, s.priority, s.interval, s.preempt, quoted(s.vips))
	if s.password != "" {
		fmt.Fprintf(&b, "\n[vrrp_instance.VI_1.authentication]\ntype = \"pass\"\npassword = %q\n", s.password)
	}
	return b.String()
}

func quoted(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = fmt.Sprintf("%q", w)
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
  virtual_router_id 51
  priority %d
  advert_int %s
`, s.version, s.priority, s.interval)
	if !s.preempt {
		b.WriteString("  nopreempt\n")
	}
	if s.password != "" {
		fmt.Fprintf(&b, "  authentication {\n    auth_type PASS\n    auth_pass %s\n  }\n", s.password)
	}
	b.WriteString("  virtual_ipaddress {\n")
	for _, v := range s.vips {
		fmt.Fprintf(&b, "    %s\n", v)
	}
	b.WriteString("  }\n}\n")
	return b.String()
}
