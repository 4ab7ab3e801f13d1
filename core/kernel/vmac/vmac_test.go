package vmac

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// patience is how long a test waits for what must happen in the end.
const patience = time.Minute

// bench is a machine with eth0 on a switch, and a client on the same switch.
type bench struct {
	*testing.T
	*kerneltest.Namespace
	client *kerneltest.Namespace
	lan    *kerneltest.Switch
	kernel *rtnl.Handle
	keeper *Keeper
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, lan: kerneltest.NewSwitch(t, "lan")}
	b.Namespace, b.client = kerneltest.NewNamespace(t, "lb"), kerneltest.NewNamespace(t, "client")
	b.lan.Attach(b.Namespace, "eth0", "192.0.2.1/24")
	b.lan.Attach(b.client, "eth0", "192.0.2.3/24")
	if err := b.Do(func() (err error) { b.kernel, err = rtnl.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.kernel.Close() })
	b.restart()
	return b
}

// restart forgets everything, as kill -9 does.
func (b *bench) restart() { b.keeper = New(b.kernel) }

func (b *bench) ensure(want Interface) (index int) {
	b.T.Helper()
	err := b.Do(func() (err error) { index, err = b.keeper.Ensure(want); return err })
	if err != nil {
		b.T.Fatal(err)
	}
	return index
}

func (b *bench) remove(name string) {
	b.T.Helper()
	if err := b.Do(func() error { return b.keeper.Remove(name) }); err != nil {
		b.T.Fatal(err)
	}
}

func (b *bench) sweep(keep ...string) (removed []string) {
	b.T.Helper()
	err := b.Do(func() (err error) {
		removed, err = b.keeper.Sweep(func(name string) bool { return slices.Contains(keep, name) })
		return err
	})
	if err != nil {
		b.T.Fatal(err)
	}
	return removed
}

func (b *bench) ip(args ...string) string {
	b.T.Helper()
	kerneltest.RequireTool(b.T, "ip")
	out, err := b.Output("ip", args...)
	if err != nil {
		b.T.Fatalf("ip %v: %v: %s", args, err, out)
	}
	return out
}

// settings reads values below /proc/sys/net, as "key=value" words.
func (b *bench) settings(dir string, keys ...string) string {
	b.T.Helper()
	words := make([]string, len(keys))
	for i, key := range keys {
		value, err := b.Output("cat", "/proc/sys/net/"+dir+"/"+key)
		if err != nil {
			b.T.Fatalf("read %s/%s: %v: %s", dir, key, err, value)
		}
		words[i] = key + "=" + strings.TrimSpace(value)
	}
	return strings.Join(words, " ")
}

func (b *bench) wantSettings(when, dir, want string) {
	b.T.Helper()
	var keys []string
	for word := range strings.FieldsSeq(want) {
		key, _, _ := strings.Cut(word, "=")
		keys = append(keys, key)
	}
	if got := b.settings(dir, keys...); got != want {
		b.T.Errorf("%s: %s is %s, want %s", when, dir, got, want)
	}
}

func (b *bench) eventually(what string, condition func() bool) {
	b.T.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.T.Fatalf("never happened: %s", what)
		}
	}
}

const untouched = "arp_ignore=0 arp_filter=0 arp_announce=0"

func vrrp(vrid uint8) Interface {
	return Interface{Name: fmt.Sprintf("vrrp.%d", vrid), Parent: "eth0", VRID: vrid}
}

//rfc:9568/7.3-1 positive negative
func TestNamesAndAddresses(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{MAC(51, false), "00:00:5e:00:01:33"},
		{MAC(255, true), "00:00:5e:00:02:ff"},
	} {
		if row.got != row.want {
			t.Errorf("got %s, want %s", row.got, row.want)
		}
	}
	if s, ok := parseAlias(settings{2, 1, 0}.alias()); !ok || s != (settings{2, 1, 0}) {
		t.Errorf("alias comes back as %+v, %v", s, ok)
	}
	for _, alias := range []string{"", "halo", settings{}.alias() + " and more", "uplink"} {
		if _, ok := parseAlias(alias); ok {
			t.Errorf("alias %q is taken for halo's", alias)
		}
	}
}

// What `ip link` shows is the reading of somebody else.
func TestInterfaceAsAnIndependentReaderSeesIt(t *testing.T) {
	b := newBench(t)
	b.ip("link", "set", "dev", "eth0", "mtu", "1400", "group", "7")
	for _, want := range []Interface{
		vrrp(51),
		{Name: "vmac6", Parent: "eth0", VRID: 52, IPv6: true, Mode: inet.MacvlanBridge},
	} {
		index := b.ensure(want)
		var links []struct {
			Index   int      `json:"ifindex"`
			Link    string   `json:"link"`
			Flags   []string `json:"flags"`
			MTU     int      `json:"mtu"`
			Group   string   `json:"group"`
			Address string   `json:"address"`
			Gen     string   `json:"inet6_addr_gen_mode"`
			Info    struct {
				Kind string `json:"info_kind"`
				Data struct {
					Mode string `json:"mode"`
				} `json:"info_data"`
			} `json:"linkinfo"`
		}
		if err := json.Unmarshal([]byte(b.ip("-j", "-d", "link", "show", "dev", want.Name)), &links); err != nil || len(links) != 1 {
			t.Fatalf("ip shows %v, %v", links, err)
		}
		l := links[0]
		if l.Index != index || l.Link != "eth0" || l.Address != MAC(want.VRID, want.IPv6) || l.Info.Kind != "macvlan" ||
			l.Info.Data.Mode != want.Mode.String() || l.MTU != 1400 || l.Group != "7" || l.Gen != "none" || !slices.Contains(l.Flags, "UP") {
			t.Errorf("ip shows %+v, want %+v", l, want)
		}
	}
	b.wantSettings("IPv4", "ipv4/conf/vrrp.51", "arp_ignore=1 arp_filter=0 arp_announce=2 rp_filter=0 accept_local=1 promote_secondaries=1")
	b.wantSettings("IPv4", "ipv6/conf/vrrp.51", "disable_ipv6=1 accept_ra=0")
	b.wantSettings("IPv6", "ipv6/conf/vmac6", "disable_ipv6=0 accept_ra=0 autoconf=0 addr_gen_mode=1")
	b.wantSettings("parent", "ipv4/conf/eth0", "arp_ignore=1 arp_filter=1 arp_announce=2")
	both := vrrp(53)
	both.BothFamilies = true
	b.ensure(both)
	b.wantSettings("both families", "ipv6/conf/vrrp.53", "disable_ipv6=0 accept_ra=0 autoconf=0 addr_gen_mode=1")
}

func TestEnsureTwiceChangesNothing(t *testing.T) {
	b := newBench(t)
	b.Sysctl("ipv6/conf/eth0/disable_ipv6", "1") // Its own address would change while it is looked at.
	index := b.ensure(vrrp(51))
	b.AddAddress("vrrp.51", "192.0.2.10/32")
	var monitor *rtnl.Monitor
	if err := b.Do(func() (err error) { monitor, err = rtnl.Watch(); return err }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- monitor.Run(ctx) }()
	views := monitor.Subscribe()
	ready := func() bool {
		view, _ := views.Next()
		l, ok := view.Link("vrrp.51")
		return ok && l.Up && len(l.Addresses) == 1
	}
	b.eventually("the monitor has seen all", ready)
	before := monitor.View()
	for range 3 {
		if again := b.ensure(vrrp(51)); again != index {
			t.Errorf("index %d became %d", index, again)
		}
	}
	if !b.HasAddress("vrrp.51", "192.0.2.10") {
		t.Error("the address is gone")
	}
	// Had anything been changed, the monitor would have been told by the time
	// it is told of this.
	b.AddAddress("lo", "10.0.0.1/32")
	b.eventually("the last change is seen", func() bool {
		view, _ := views.Next()
		lo, _ := view.Link("lo")
		return slices.ContainsFunc(lo.Addresses, func(a inet.Address) bool { return a.Addr().String() == "10.0.0.1" })
	})
	for _, name := range []string{"eth0", "vrrp.51"} {
		was, _ := before.Link(name)
		is, _ := monitor.View().Link(name)
		if !reflect.DeepEqual(was, is) {
			t.Errorf("%s changed from %+v to %+v", name, was, is)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// What somebody else changes is put right.
	b.ip("link", "set", "dev", "vrrp.51", "down")
	b.ip("link", "set", "dev", "eth0", "mtu", "1300")
	b.Sysctl("ipv4/conf/vrrp.51/arp_ignore", "0")
	b.Sysctl("ipv4/conf/eth0/arp_filter", "0")
	b.Sysctl("ipv6/conf/vrrp.51/disable_ipv6", "0")
	b.ensure(vrrp(51))
	b.wantSettings("put right", "ipv4/conf/vrrp.51", "arp_ignore=1")
	b.wantSettings("put right", "ipv4/conf/eth0", "arp_ignore=1 arp_filter=1")
	b.wantSettings("put right", "ipv6/conf/vrrp.51", "disable_ipv6=1")
	if out := b.ip("link", "show", "dev", "vrrp.51"); !strings.Contains(out, "mtu 1300") || !strings.Contains(out, ",UP") {
		t.Errorf("after putting right: %s", out)
	}
	b.remove("vrrp.51")
	b.wantSettings("removed", "ipv4/conf/eth0", untouched)
}

// A machine may forward on some interfaces only: what comes to the virtual MAC
// address of one is as if it came to that interface.
func TestInterfaceForwardsWhereItsParentDoes(t *testing.T) {
	b := newBench(t)
	six := Interface{Name: "vrrp6.51", Parent: "eth0", VRID: 51, IPv6: true}
	for _, forwarding := range []string{"1", "0"} {
		b.Sysctl("ipv4/conf/eth0/forwarding", forwarding)
		b.Sysctl("ipv6/conf/eth0/forwarding", forwarding)
		b.ensure(vrrp(51))
		b.ensure(six)
		b.wantSettings("IPv4", "ipv4/conf/vrrp.51", "forwarding="+forwarding)
		b.wantSettings("IPv6", "ipv6/conf/vrrp6.51", "forwarding="+forwarding+" accept_ra=0 router_solicitations=0")
	}
}

func TestBadWishes(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]Interface{
		"no number": {Name: "vrrp.0", Parent: "eth0"},
		"no name":   {Parent: "eth0", VRID: 1},
		"long name": {Name: "0123456789abcdef", Parent: "eth0", VRID: 1},
	} {
		if err := b.Do(func() error { _, err := b.keeper.Ensure(want); return err }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	b.wantSettings("nothing made", "ipv4/conf/eth0", untouched)
}
