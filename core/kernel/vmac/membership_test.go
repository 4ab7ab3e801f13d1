package vmac

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// member tells whether eth0 is in a group, as `ip maddress` shows it.
func (b *bench) member(group string) bool {
	b.T.Helper()
	return strings.Contains(b.ip("maddress", "show", "dev", "eth0"), group+"\n")
}

func (b *bench) join(want Interface, groups ...string) error {
	b.T.Helper()
	list := make([]netip.Addr, len(groups))
	for i, g := range groups {
		list[i] = netip.MustParseAddr(g)
	}
	return b.Do(func() error { return b.keeper.Join(want.Name, list) })
}

func TestTheParentBelongsToTheGroups(t *testing.T) {
	b := newBench(t)
	all := []string{"224.0.0.18", "ff02::12", "ff02::1:ff00:10"}
	wantMember := func(when string, in ...bool) {
		t.Helper()
		for i, group := range all {
			if got := b.member(group); got != in[i] {
				t.Errorf("%s: in %s: %v, want %v", when, group, got, in[i])
			}
		}
	}
	wantMember("before", false, false, false)
	b.ensure(vrrp(51))
	for range 2 {
		if err := b.join(vrrp(51), all...); err != nil {
			t.Fatal(err)
		}
		wantMember("joined", true, true, true)
	}
	if err := b.join(vrrp(51), all[0], all[2], all[2]); err != nil {
		t.Fatal(err)
	}
	wantMember("another list", true, false, true)
	if err := b.join(vrrp(52), all[0]); !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "vrrp.52") {
		t.Errorf("for an interface that is not there: %v, want ENODEV", err)
	}
	b.ensure(vrrp(52))
	if err := b.join(vrrp(52), all[0]); err != nil {
		t.Fatal(err)
	}
	b.remove("vrrp.51")
	wantMember("one of two removed", true, false, false)
	b.keeper.Close()
	wantMember("closed", false, false, false)

	// A parent that is made anew belongs to nothing.
	b.ensure(vrrp(51))
	if err := b.join(vrrp(51), all...); err != nil {
		t.Fatal(err)
	}
	b.DeleteLink("eth0")
	b.lan.Attach(b.Namespace, "eth0", "192.0.2.1/24")
	wantMember("made anew", false, false, false)
	b.ensure(vrrp(51))
	if err := b.join(vrrp(51), all...); err != nil {
		t.Fatal(err)
	}
	wantMember("joined again", true, true, true)
	if err := b.join(vrrp(51), "192.0.2.99"); err == nil {
		t.Error("an address that is no group can be joined")
	}
	wantMember("after a failure", true, true, true)
}

func TestSolicitedNode(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"2001:db8::10": "ff02::1:ff00:10", "fe80::1:2345:6789": "ff02::1:ff45:6789"} {
		if got := SolicitedNode(netip.MustParseAddr(address)); got != netip.MustParseAddr(want) {
			t.Errorf("that of %s is %s, want %s", address, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	b := newBench(t)
	want := vrrp(51)
	find := func() bool {
		t.Helper()
		links, err := b.kernel.Links()
		if err != nil {
			t.Fatal(err)
		}
		have, parent, ok := Find(links, want)
		if ok && (have.Name != want.Name || parent.Name != want.Parent) {
			t.Errorf("found %+v on %+v", have, parent)
		}
		return ok
	}
	if find() {
		t.Error("found before it was made")
	}
	b.ensure(want)
	if !find() {
		t.Error("not found")
	}
	other := want
	other.VRID = 52
	links, _ := b.kernel.Links()
	if _, _, ok := Find(links, other); ok {
		t.Error("found for another number")
	}
	b.ip("link", "set", "dev", "vrrp.51", "down")
	if find() {
		t.Error("found although it is down")
	}
	b.DeleteLink("vrrp.51")
	b.ip("link", "add", "link", "eth0", "name", "vrrp.51", "address", MAC(51, false), "up", "type", "macvlan", "mode", "private")
	if find() {
		t.Error("somebody else's is taken for halo's")
	}
}
