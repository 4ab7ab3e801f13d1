package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// virtual is a virtual router with a virtual MAC address, in one family.
type virtual struct {
	name     string
	link     string
	mac      string
	vip      string
	vips     []string
	more     string // of halo's file
	moreKeep string // of Keepalived's
}

var virtuals = []virtual{
	{name: "IPv4", link: "vrrp.51", mac: "00:00:5e:00:01:33", vip: vip, vips: []string{vip + "/24"}, more: "vmac = true\n", moreKeep: "  use_vmac\n"},
	{name: "IPv6", link: "vrrp6.51", mac: "00:00:5e:00:02:33", vip: vip6, vips: []string{linkVIP6 + "/64", vip6 + "/64"}, more: "vmac = true\n", moreKeep: "  use_vmac vrrp6.51\n"},
	{
		name: "IPv4 from the interface", link: "vr51", mac: "00:00:5e:00:01:33", vip: vip, vips: []string{vip + "/24"},
		more: "vmac = { name = \"vr51\", xmit_base = true }\n", moreKeep: "  use_vmac vr51\n  vmac_xmit_base\n",
	},
}

func (v *virtual) haloConfig(priority int) string {
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = "500ms"
addresses         = [%s]
%s`, priority, quoted(v.vips), v.more)
}

func (v *virtual) keepalivedConfig(priority int) string {
	return fmt.Sprintf(`global_defs {
  vrrp_version 3
}
vrrp_instance VI_1 {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int 0.5
%s  virtual_ipaddress {
    %s
  }
}
`, priority, v.moreKeep, strings.Join(v.vips, "\n    "))
}

// site is two routers and a client, who knows for good at which MAC address the
// virtual address is: where frames to it go is for the switch to learn.
type site struct {
	*lab.Network
	t            *testing.T
	a, b, client *lab.Host
}

func newSite(t *testing.T, v *virtual) *site {
	t.Helper()
	n := lab.New(t)
	s := &site{
		Network: n, t: t, a: n.Host("a", aSource+"/24", "2001:db8::1/64"), b: n.Host("b", bSource+"/24", "2001:db8::2/64"),
		client: n.Host("client", "192.0.2.3/24", "2001:db8::3/64"),
	}
	ip(t, s.client, "neighbour", "replace", v.vip, "lladdr", v.mac, "dev", "eth0", "nud", "permanent")
	for _, h := range []*lab.Host{s.a, s.b} {
		greet(t, h)
	}
	return s
}

func ip(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	out, err := h.Output("ip", args...)
	if err != nil {
		t.Fatalf("ip %s on %s: %v\n%s", strings.Join(args, " "), h.Label(), err, out)
	}
	return out
}

// greet has a host say its name to everybody who connects to port 7.
func greet(t *testing.T, h *lab.Host) {
	t.Helper()
	l, err := h.Listen("tcp", "[::]:7")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, h.Label())
			_ = c.Close()
		}
	}()
}

// who is the name of the host that answers at an address, empty if none does.
func (s *site) who(address string) string {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	c, err := s.client.DialContext(ctx, "tcp", net.JoinHostPort(address, "7"))
	if err != nil {
		return ""
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	name, _ := io.ReadAll(c)
	return string(name)
}

// answers waits until a host answers at the virtual address.
func (s *site) answers(v *virtual, h *lab.Host) {
	s.t.Helper()
	lab.Eventually(s.t, h.Label()+" answers at "+v.vip, func() bool { return s.who(v.vip) == h.Label() })
}

// The MAC address of the virtual address stays what it is, whoever has it: what
// the client believes is never changed, and the switch sends to who is active.
// Nothing else leaves by the virtual MAC address, and nobody takes the other
// router for somebody who claims the address.
func TestVirtualMAC(t *testing.T) {
	for _, v := range virtuals {
		for _, p := range []pairing{{"halo", "halo"}, {"halo", "keepalived"}, {"keepalived", "halo"}} {
			t.Run(v.name+"/"+p.a+"+"+p.b, func(t *testing.T) {
				t.Parallel()
				kerneltest.RequireTool(t, "nft")
				s := newSite(t, &v)
				w := watchWire(s)
				var halos []*lab.Halo
				start := func(kind string, h *lab.Host, priority int) (*lab.Process, func() *lab.Process) {
					if kind == "halo" {
						halo := h.Halo(v.haloConfig(priority))
						halos = append(halos, halo)
						return halo.Process, func() *lab.Process { halo.Start(t); return halo.Process }
					}
					again := func() *lab.Process { return h.Keepalived(v.keepalivedConfig(priority)) }
					return again(), again
				}
				better, again := start(p.a, s.a, 150)
				start(p.b, s.b, 100)
				s.answers(&v, s.a)
				if own := s.a.MAC("eth0").String(); strings.Contains(v.more, "xmit_base") {
					w.wantAdverts(own, v.mac)
				} else {
					w.wantAdverts(v.mac, own)
				}
				better.Kill()
				s.a.Pull()
				s.answers(&v, s.b)
				better = again()
				s.a.Plug()
				s.answers(&v, s.a)
				_ = better.Terminate() // How it ends is the business of other tests.
				s.answers(&v, s.b)
				if p.a == "halo" {
					wantNothingLeft(t, s.a)
				}
				for _, h := range halos {
					// A Keepalived that was killed answers with another MAC address.
					if p.a == "halo" && strings.Contains(h.Output(), "somebody else claims") {
						t.Errorf("halo takes the other router for somebody who claims its address:\n%s", h.Output())
					}
				}
				if p.a == "halo" && p.b == "halo" {
					w.wantQuiet(v.mac, s.a, s.b)
				}
			})
		}
	}
}

// wantNothingLeft holds a host against one on which halo has never been.
func wantNothingLeft(t *testing.T, h *lab.Host) {
	t.Helper()
	for _, what := range left(t, h) {
		t.Errorf("left on %s: %s", h.Label(), what)
	}
}

// left is what halo has left on a host.
func left(t *testing.T, h *lab.Host) (list []string) {
	t.Helper()
	if links := ip(t, h, "-brief", "link", "show", "type", "macvlan"); links != "" {
		list = append(list, "links:\n"+links)
	}
	rules, err := h.Output("nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	if rules != "" {
		list = append(list, "rules:\n"+rules)
	}
	for _, setting := range []string{"arp_ignore", "arp_filter", "arp_announce"} {
		if err := h.Do(func() error {
			value, err := os.ReadFile("/proc/sys/net/ipv4/conf/eth0/" + setting)
			if err == nil && string(value) != "0\n" {
				list = append(list, fmt.Sprintf("%s is %s", setting, value))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// wire is what the switch hears of advertisements and group memberships.
type wire struct {
	*lab.Process
	s *site
}

// loudMAC is the MAC address of a link that nobody keeps quiet.
const loudMAC = "00:00:5e:00:01:99"

// watchWire listens on the switch until the test ends.
func watchWire(s *site) *wire {
	s.t.Helper()
	kerneltest.RequireTool(s.t, "tcpdump")
	w := &wire{s.Watch("tcpdump", "-l", "-n", "-e", "-i", "switch", "igmp", "or", "ip6", "or", "proto", "112"), s}
	w.WaitOutput("listening on")
	return w
}

// wantQuiet asserts that no report came from a MAC address, while others come.
func (w *wire) wantQuiet(mac string, hosts ...*lab.Host) {
	w.s.t.Helper()
	ip(w.s.t, w.s.client, "link", "add", "link", "eth0", "name", "loud", "address", loudMAC, "up", "type", "macvlan")
	senders := []string{loudMAC}
	for _, h := range hosts {
		senders = append(senders, h.MAC("eth0").String())
	}
	for _, sender := range senders {
		lab.Eventually(w.s.t, sender+" reports membership", func() bool { return len(w.reports(sender)) > 0 })
	}
	if reports := w.reports(mac); len(reports) > 0 {
		w.s.t.Errorf("the virtual MAC address reports membership:\n%s", strings.Join(reports, "\n"))
	}
}

// adverts are the advertisements of a sender.
func (w *wire) adverts(mac string) int {
	return strings.Count(w.Output(), mac+" > 01:00:5e:00:00:12,") + strings.Count(w.Output(), mac+" > 33:33:00:00:00:12,")
}

// wantAdverts waits for advertisements from one MAC address, and asserts that none
// came from the other.
func (w *wire) wantAdverts(from, notFrom string) {
	w.s.t.Helper()
	lab.Eventually(w.s.t, "advertisements from "+from, func() bool { return w.adverts(from) >= 3 })
	if n := w.adverts(notFrom); n > 0 {
		w.s.t.Errorf("%d advertisements come from %s", n, notFrom)
	}
}

// reports are the reports of a sender.
func (w *wire) reports(mac string) []string {
	return slices.DeleteFunc(strings.Split(w.Output(), "\n"), func(line string) bool {
		return !strings.Contains(line, mac+" > ") || !strings.Contains(line, "igmp") && !strings.Contains(line, "multicast listener")
	})
}
