package vmac

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func TestTheLastInterfaceRestoresItsParent(t *testing.T) {
	b := newBench(t)
	b.Sysctl("ipv4/conf/eth0/arp_ignore", "2")
	b.ensure(vrrp(51))
	b.wantSettings("stricter than needed", "ipv4/conf/eth0", "arp_ignore=2 arp_filter=1")
	b.ensure(vrrp(52))
	b.remove("vrrp.51")
	b.wantSettings("one left", "ipv4/conf/eth0", "arp_ignore=2 arp_filter=1")
	// What somebody else has set meanwhile stays.
	b.Sysctl("ipv4/conf/eth0/arp_ignore", "3")
	b.remove("vrrp.52")
	b.wantSettings("none left", "ipv4/conf/eth0", "arp_ignore=3 arp_filter=0")
	for _, name := range []string{"vrrp.51", "vrrp.52"} {
		if b.HasLink(name) {
			t.Errorf("%s is left", name)
		}
		b.remove(name) // There is nothing to remove any more.
	}
}

func TestInterfacesSurviveACrash(t *testing.T) {
	b := newBench(t)
	index := b.ensure(vrrp(51))
	b.ensure(vrrp(52))
	b.AddAddress("vrrp.51", "192.0.2.10/32")

	b.restart()
	if removed := b.sweep("vrrp.51"); !slices.Equal(removed, []string{"vrrp.52"}) {
		t.Errorf("swept %v, want vrrp.52", removed)
	}
	b.wantSettings("one left", "ipv4/conf/eth0", "arp_ignore=1 arp_filter=1")
	if again := b.ensure(vrrp(51)); again != index || !b.HasAddress("vrrp.51", "192.0.2.10") {
		t.Errorf("index %d became %d, or the address went: not adopted", index, again)
	}
	b.restart()
	b.ensure(vrrp(53)) // Learns from the one that is there what the parent had.
	b.restart()
	if removed := b.sweep(); len(removed) != 2 {
		t.Errorf("swept %v, want both", removed)
	}
	b.wantSettings("none left", "ipv4/conf/eth0", untouched)
}

func TestWhatDoesNotFitIsMadeAnew(t *testing.T) {
	b := newBench(t)
	b.lan.Attach(b.Namespace, "eth1")
	b.Sysctl("ipv4/conf/eth0/arp_filter", "1")
	index := b.ensure(vrrp(51))
	for _, change := range []func(*Interface){
		func(i *Interface) { i.Mode = inet.MacvlanBridge },
		func(i *Interface) { i.Parent = "eth1" },
		func(i *Interface) { i.VRID = 9 },
		func(i *Interface) { i.IPv6 = true },
	} {
		want := vrrp(51)
		change(&want)
		again := b.ensure(want)
		if again == index {
			t.Errorf("%+v: the old interface is used", want)
		}
		if mac := b.MAC("vrrp.51").String(); mac != MAC(want.VRID, want.IPv6) {
			t.Errorf("%+v has the MAC address %s", want, mac)
		}
		index = again
		if want.Parent == "eth1" {
			b.wantSettings("moved away", "ipv4/conf/eth0", "arp_ignore=0 arp_filter=1")
			b.wantSettings("moved here", "ipv4/conf/eth1", "arp_ignore=1 arp_filter=1")
		}
	}
}

func TestInterfacesOfOthersAreNotTouched(t *testing.T) {
	b := newBench(t)
	// As Keepalived makes it: the same name, the same address.
	b.ip("link", "add", "link", "eth0", "name", "vrrp.51", "address", MAC(51, false), "up", "type", "macvlan", "mode", "private")
	b.ip("link", "add", "name", "vrrp.52", "type", "veth")
	for _, name := range []string{"vrrp.51", "vrrp.52"} {
		want := vrrp(51)
		want.Name = name
		err := b.Do(func() error { _, err := b.keeper.Ensure(want); return err })
		if !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), name+" on eth0") {
			t.Errorf("%s: %v, want EEXIST", name, err)
		}
		b.remove(name)
	}
	if removed := b.sweep(); len(removed) > 0 {
		t.Errorf("swept %v", removed)
	}
	if !b.HasLink("vrrp.51") || !b.HasLink("vrrp.52") {
		t.Error("somebody else's interface is gone")
	}
	b.wantSettings("nothing made", "ipv4/conf/eth0", untouched)
	// Half made by a process that was killed: nobody's, and not in use.
	b.ip("link", "set", "dev", "vrrp.51", "down")
	b.ensure(vrrp(51))
	b.remove("vrrp.51")
	if b.HasLink("vrrp.51") {
		t.Error("the half-made interface was not adopted")
	}
}

func TestParentThatComesAndGoes(t *testing.T) {
	b := newBench(t)
	b.ensure(vrrp(51))
	b.DeleteLink("eth0")
	if b.HasLink("vrrp.51") {
		t.Error("the interface survived its parent")
	}
	err := b.Do(func() error { _, err := b.keeper.Ensure(vrrp(51)); return err })
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "set up virtual interface vrrp.51 on eth0") {
		t.Errorf("without parent: %v, want ENODEV", err)
	}
	b.remove("vrrp.51")
	b.lan.Attach(b.Namespace, "eth0", "192.0.2.1/24")
	b.SetDown("eth0")
	b.ensure(vrrp(51)) // A parent that is down is no reason not to be ready.
	b.SetUp("eth0")
	b.AwaitCarrier("vrrp.51")
	b.remove("vrrp.51")
	b.wantSettings("removed", "ipv4/conf/eth0", untouched)
}

// Somebody deletes the interface, and with it what is remembered in it.
func TestInterfaceDeletedByHand(t *testing.T) {
	b := newBench(t)
	b.ensure(vrrp(51))
	b.DeleteLink("vrrp.51")
	b.ensure(vrrp(51))
	b.remove("vrrp.51")
	b.wantSettings("made again and removed", "ipv4/conf/eth0", untouched)
	b.ensure(vrrp(51))
	b.DeleteLink("vrrp.51")
	b.remove("vrrp.51")
	b.wantSettings("deleted and removed", "ipv4/conf/eth0", untouched)
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

// One MAC address answers for the virtual address, and packets pass both ways,
// with any check of where packets come from.
//
//rfc:9568/8.1.2-1 positive
//rfc:9568/8.1.2-2 positive
//rfc:3768/8.2-1 positive
//rfc:3768/8.2-2 positive
func TestTheVirtualMACAnswers(t *testing.T) {
	for _, filter := range []string{"0", "1", "2"} {
		t.Run("rp_filter "+filter, func(t *testing.T) {
			b := newBench(t)
			b.Sysctl("ipv4/conf/all/rp_filter", filter)
			b.ensure(vrrp(51))
			if err := b.kernel.AddAddresses("vrrp.51", []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}); err != nil {
				t.Fatal(err)
			}
			b.AwaitCarrier("vrrp.51")
			b.client.LearnNeighbour("192.0.2.10")
			b.client.LearnNeighbour("192.0.2.1")
			b.eventually("the client learns both addresses", func() bool {
				return b.client.Neighbour("eth0", "192.0.2.10") != nil && b.client.Neighbour("eth0", "192.0.2.1") != nil
			})
			if mac := b.client.Neighbour("eth0", "192.0.2.10").String(); mac != MAC(51, false) {
				t.Errorf("the virtual address has the MAC address %s", mac)
			}
			if mac := b.client.Neighbour("eth0", "192.0.2.1"); mac.String() != b.MAC("eth0").String() {
				t.Errorf("the machine's own address has the MAC address %s", mac)
			}
			b.converse("192.0.2.10:7")
			// Asking for the client's MAC address, the machine does not give
			// away its own for the virtual address.
			if mac := b.client.Neighbour("eth0", "192.0.2.10").String(); mac != MAC(51, false) {
				t.Errorf("after a conversation the virtual address has the MAC address %s", mac)
			}
			b.wantSettings("for all", "ipv4/conf/all", "rp_filter="+filter)
		})
	}
}

//rfc:9568/7.4-1 positive
//rfc:9568/8.2.2-1 positive
func TestTheVirtualMACAnswersInIPv6(t *testing.T) {
	b := newBench(t)
	b.ensure(Interface{Name: "vrrp6.51", Parent: "eth0", VRID: 51, IPv6: true})
	own, client := b.kernel, (*rtnl.Handle)(nil)
	if err := b.client.Do(func() (err error) { client, err = rtnl.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, put := range []struct {
		kernel        *rtnl.Handle
		link, address string
	}{{own, "eth0", "2001:db8::1/64"}, {own, "vrrp6.51", "2001:db8::10/128"}, {own, "vrrp6.51", "fe80::10/64"}, {client, "eth0", "2001:db8::3/64"}} {
		if err := put.kernel.PutAddresses(put.link, []inet.Address{{Prefix: netip.MustParsePrefix(put.address), Deprecated: strings.HasSuffix(put.address, "/128")}}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := own.ListAddresses("vrrp6.51")
	if err != nil || len(found) != 2 {
		t.Errorf("addresses %v, %v, want the two that were given", found, err)
	}
	b.AwaitCarrier("vrrp6.51")
	b.converse("[2001:db8::10]:7")
	b.eventually("the client knows the virtual MAC address", func() bool {
		out, err := b.client.Output("ip", "-6", "neighbour", "show", "to", "2001:db8::10")
		return err == nil && strings.Contains(out, "lladdr "+MAC(51, true))
	})
}

// converse has the client connect to an address of the machine.
func (b *bench) converse(address string) {
	b.T.Helper()
	listener, err := b.Listen("tcp", address)
	if err != nil {
		b.T.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			_, err = c.Write([]byte("hello"))
			_ = c.Close()
		}
		accepted <- err
	}()
	c, err := b.client.DialContext(b.T.Context(), "tcp", address)
	if err != nil {
		b.T.Fatalf("the client cannot reach %s: %v", address, err)
	}
	defer c.Close()
	var text [5]byte
	if _, err := c.Read(text[:]); err != nil || string(text[:]) != "hello" {
		b.T.Errorf("the client reads %q, %v", text, err)
	}
	if err := <-accepted; err != nil {
		b.T.Error(err)
	}
}

// A parent in a VRF hands its membership on, since the addresses are to be in
// the VRF's table.
func TestInterfaceJoinsTheVRFOfItsParent(t *testing.T) {
	if !kerneltest.InGuest() {
		t.Skip("runs in the test kernel, which has VRFs")
	}
	b := newBench(t)
	b.ip("link", "add", "name", "blue", "type", "vrf", "table", "1001")
	b.ip("link", "set", "dev", "blue", "up")
	b.ip("link", "set", "dev", "eth0", "master", "blue")
	for range 2 {
		b.ensure(vrrp(51))
		b.AwaitCarrier("vrrp.51")
		links, err := b.kernel.Links()
		if err != nil {
			t.Fatal(err)
		}
		blue, _ := byName(links, "blue")
		own, _ := byName(links, "vrrp.51")
		if blue.Kind != "vrf" || blue.VRFTable != 1001 || own.Master != blue.Index {
			t.Errorf("%+v is not in %+v", own, blue)
		}
		// Whoever takes it out of the VRF is put right.
		b.ip("link", "set", "dev", "vrrp.51", "nomaster")
	}
}
