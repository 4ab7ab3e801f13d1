package rtnl

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// linkNamed finds one link by name in a fresh list.
func linkNamed(t *testing.T, h *Handle, name string) (Link, bool) {
	t.Helper()
	links, err := h.Links()
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(links, func(l Link) bool { return l.Name == name }); i >= 0 {
		return links[i], true
	}
	return Link{}, false
}

func TestMacvlanIsMadeAndDeleted(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	m := inet.Macvlan{Name: "vrrp.51", Parent: "eth0", MAC: "00:00:5e:00:01:33", Mode: inet.MacvlanBridge, Alias: "made by a test"}
	if err := h.AddMacvlan(m); err != nil {
		t.Fatal(err)
	}
	l, ok := linkNamed(t, h, "vrrp.51")
	if !ok || l.Kind != "macvlan" || l.MAC != m.MAC || l.Alias != m.Alias || !l.KnownMode || l.Mode != m.Mode ||
		l.Parent != n.Index("eth0") || l.AdminUp || l.Up || l.MTU != 1500 || l.Master != 0 {
		t.Fatalf("made %+v, %v, want %s", l, ok, m)
	}
	if err := h.AddMacvlan(m); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "make link vrrp.51 on eth0") {
		t.Errorf("made twice: %v, want EEXIST", err)
	}
	if err := h.SetLink(l.Index, LinkChange{
		Up: inet.Some(true), Alias: inet.Some("changed"), MTU: inet.Some(uint32(1400)), Group: inet.Some(uint32(5)),
		MAC: inet.Some("00:00:5e:00:01:34"), IPv4: map[IPv4Setting]uint32{ARPIgnore: 2, RPFilter: 1},
	}); err != nil {
		t.Fatal(err)
	}
	changed, _ := linkNamed(t, h, "vrrp.51")
	if !changed.AdminUp || !changed.Up || changed.Alias != "changed" || changed.MTU != 1400 || changed.Group != 5 || changed.MAC != "00:00:5e:00:01:34" {
		t.Errorf("changed to %+v", changed)
	}
	settings, err := h.IPv4Settings(l.Index)
	if err != nil || settings[ARPIgnore] != 2 || settings[RPFilter] != 1 || settings[AcceptLocal] != 0 {
		t.Errorf("settings %v, %v", settings, err)
	}
	for setting, key := range map[IPv4Setting]string{
		RPFilter: "rp_filter", ARPFilter: "arp_filter", ARPAnnounce: "arp_announce", ARPIgnore: "arp_ignore",
		PromoteSecondaries: "promote_secondaries", AcceptLocal: "accept_local",
	} {
		n.Sysctl("ipv4/conf/vrrp.51/"+key, "0")
		if err := h.SetLink(l.Index, LinkChange{IPv4: map[IPv4Setting]uint32{setting: 1}}); err != nil {
			t.Fatal(err)
		}
		value, err := n.Output("cat", "/proc/sys/net/ipv4/conf/vrrp.51/"+key)
		if err != nil || strings.TrimSpace(value) != "1" {
			t.Errorf("%s is %q, %v, want it set", key, value, err)
		}
	}
	if err := h.SetLink(l.Index, LinkChange{Up: inet.Some(false)}); err != nil {
		t.Fatal(err)
	}
	if changed, _ = linkNamed(t, h, "vrrp.51"); changed.AdminUp {
		t.Error("still up")
	}
	for range 2 { // The second time it is gone already.
		if err := h.DelLink(l.Index); err != nil {
			t.Error(err)
		}
	}
	if _, ok := linkNamed(t, h, "vrrp.51"); ok {
		t.Error("not deleted")
	}
}

func TestLinkErrorsNameWhatFailed(t *testing.T) {
	h := openIn(t, pair(t))
	for name, row := range map[string]struct {
		err   error
		cause error
		words string
	}{
		"missing parent": {h.AddMacvlan(inet.Macvlan{Name: "x", Parent: "eth7", MAC: "00:00:5e:00:01:33"}), unix.ENODEV, "make link x on eth7"},
		"bad MAC":        {h.AddMacvlan(inet.Macvlan{Name: "x", Parent: "eth0", MAC: "me"}), nil, "make link x on eth0"},
		"bad name":       {h.AddMacvlan(inet.Macvlan{Name: "", Parent: "eth0", MAC: "00:00:5e:00:01:33"}), nil, "called"},
		"missing link":   {h.SetLink(4711, LinkChange{Up: inet.Some(true)}), unix.ENODEV, "change link 4711"},
		"bad new MAC":    {h.SetLink(1, LinkChange{MAC: inet.Some("me")}), nil, "change link 1"},
		"settings":       {func() error { _, err := h.IPv4Settings(4711); return err }(), unix.ENODEV, "read settings of link 4711"},
		"not deletable":  {h.DelLink(1), unix.EOPNOTSUPP, "delete link 1"},
	} {
		if row.err == nil || row.cause != nil && !errors.Is(row.err, row.cause) || !strings.Contains(row.err.Error(), row.words) {
			t.Errorf("%s: %v, want %v with %q", name, row.err, row.cause, row.words)
		}
	}
	if _, ok := linkNamed(t, h, "x"); ok {
		t.Error("a link was made all the same")
	}
}

// Not every kernel has VRFs; the message is as one that has them sends it.
func TestParseLinkReadsTheTableOfAVRF(t *testing.T) {
	message, err := body(linkHeader(7), func(a *netlink.AttributeEncoder) {
		a.String(unix.IFLA_IFNAME, "blue")
		nested(a, unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) {
			info.String(unix.IFLA_INFO_KIND, "vrf")
			nested(info, unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) { data.Uint32(unix.IFLA_VRF_TABLE, 1001) })
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseLink(message)
	if err != nil || l.Kind != "vrf" || l.VRFTable != 1001 || l.Name != "blue" || l.Index != 7 {
		t.Errorf("read %+v, %v", l, err)
	}
}

func TestMonitorSeesWhatALinkIs(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	s := watchIn(t, n, 0).Subscribe()
	if err := h.AddMacvlan(inet.Macvlan{Name: "vrrp.51", Parent: "eth0", MAC: "00:00:5e:00:01:33", Alias: "one"}); err != nil {
		t.Fatal(err)
	}
	// The kernel tells of an alias only where the link is up.
	set := func(change LinkChange) {
		if err := h.SetLink(n.Index("vrrp.51"), change); err != nil {
			t.Fatal(err)
		}
	}
	set(LinkChange{Up: inet.Some(true)})
	await(t, s, "macvlan", func(v *View) bool {
		l, ok := v.Link("vrrp.51")
		return ok && l.Kind == "macvlan" && l.Alias == "one" && l.Parent == n.Index("eth0")
	})
	set(LinkChange{Alias: inet.Some("two")})
	await(t, s, "alias", func(v *View) bool { l, _ := v.Link("vrrp.51"); return l.Alias == "two" })
}

// Many links go at once, and nobody else's with them, whatever group it is in.
func TestManyLinksAreDeletedTogether(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	var indices []int
	for _, name := range []string{"vrrp.1", "vrrp.2", "vrrp.3", "stays"} {
		if err := h.AddMacvlan(inet.Macvlan{Name: name, Parent: "eth0", MAC: "00:00:5e:00:01:0" + strconv.Itoa(len(indices)+1), Alias: name}); err != nil {
			t.Fatal(err)
		}
		l, _ := linkNamed(t, h, name)
		indices = append(indices, l.Index)
	}
	stays := indices[3]
	links, err := h.Links()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetLink(stays, LinkChange{Group: inet.Some(unusedGroup(links))}); err != nil {
		t.Fatal(err)
	}
	n.DeleteLink("vrrp.2") // Somebody was faster.
	for range 2 {
		if err := h.DelLinks(indices[:3]); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"vrrp.1", "vrrp.2", "vrrp.3"} {
			if n.HasLink(name) {
				t.Errorf("%s is left", name)
			}
		}
		if !n.HasLink("stays") || !n.HasLink("eth0") {
			t.Fatal("somebody else's link is gone")
		}
	}
	// One that is no virtual link of a kind that can be deleted keeps nothing else.
	if err := h.DelLinks([]int{stays, n.Index("lo")}); err == nil || !strings.Contains(err.Error(), "delete 2 links") {
		t.Errorf("the loopback interface can be deleted: %v", err)
	}
	if err := h.DelLinks(indices[3:]); err != nil || n.HasLink("stays") {
		t.Errorf("the last one: %v", err)
	}
	if err := h.DelLinks(nil); err != nil {
		t.Error(err)
	}
}
