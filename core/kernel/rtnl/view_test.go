package rtnl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// addressBody encodes an IPv4 address message as the kernel sends it.
func addressBody(t *testing.T, index int, p string, flags byte) []byte {
	t.Helper()
	body, err := addressMessage(index, inet.Address{Prefix: netip.MustParsePrefix(p)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body[2] = flags
	return body
}

// linkBody encodes a message of the given family for the link of index 2.
func linkBody(t *testing.T, name string, family byte, flags uint32) []byte {
	t.Helper()
	body := linkHeader(2)
	body[0] = family
	body[8], body[9] = byte(flags), byte(flags>>8)
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.IFLA_IFNAME, name)
	encoded, err := attributes.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return append(body, encoded...)
}

// text is a view in one line.
func text(v *View) string {
	var out strings.Builder
	for _, l := range v.Links {
		fmt.Fprintf(&out, "%d %s up=%v", l.Index, l.Name, l.Up)
		for _, a := range l.Addresses {
			out.WriteString(" " + a.Prefix.String())
			if a.Secondary {
				out.WriteString("s")
			}
		}
		out.WriteString("; ")
	}
	return out.String()
}

func TestTableFollowsNotifications(t *testing.T) {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	type notice struct {
		kind netlink.HeaderType
		body []byte
	}
	link := func(name string, flags uint32) notice {
		return notice{unix.RTM_NEWLINK, linkBody(t, name, unix.AF_UNSPEC, flags)}
	}
	add := func(p string, flags byte) notice {
		return notice{unix.RTM_NEWADDR, addressBody(t, 2, p, flags)}
	}
	del := func(p string) notice { return notice{unix.RTM_DELADDR, addressBody(t, 2, p, 0)} }

	// Each row goes on from where the row before ended.
	tableUnderTest := newTable()
	for _, row := range []struct {
		name    string
		notices []notice
		view    string // empty: unchanged
		removed string
	}{
		{"link appears", []notice{link("eth0", up)}, "2 eth0 up=true; ", ""},
		{"the same again", []notice{link("eth0", up)}, "", ""},
		{"carrier lost", []notice{link("eth0", unix.IFF_UP)}, "2 eth0 up=false; ", ""},
		{"renamed", []notice{link("lan", up)}, "2 lan up=true; ", ""},
		{"address", []notice{add("192.0.2.1/24", 0)}, "2 lan up=true 192.0.2.1/24; ", ""},
		{"renewed", []notice{add("192.0.2.1/24", 0)}, "", ""},
		{
			"primary comes before secondary",
			[]notice{add("192.0.2.10/24", unix.IFA_F_SECONDARY), add("198.51.100.1/24", 0)},
			"2 lan up=true 192.0.2.1/24 198.51.100.1/24 192.0.2.10/24s; ", "",
		},
		{
			"promoted",
			[]notice{del("192.0.2.1/24"), add("192.0.2.10/24", 0)},
			"2 lan up=true 198.51.100.1/24 192.0.2.10/24; ", "192.0.2.1/24",
		},
		{"missing address deleted", []notice{del("203.0.113.1/24")}, "", ""},
		{"address of an unknown link", []notice{{unix.RTM_NEWADDR, addressBody(t, 9, "203.0.113.1/24", 0)}}, "", ""},
		{
			"leaves a bridge",
			[]notice{{unix.RTM_DELLINK, linkBody(t, "lan", unix.AF_BRIDGE, 0)}},
			"", "",
		},
		{
			"link deleted",
			[]notice{{unix.RTM_DELLINK, linkBody(t, "lan", unix.AF_UNSPEC, 0)}},
			"<empty>", "198.51.100.1/24 192.0.2.10/24",
		},
		{"deleted twice", []notice{{unix.RTM_DELLINK, linkBody(t, "lan", unix.AF_UNSPEC, 0)}}, "", ""},
	} {
		for _, n := range row.notices {
			if err := tableUnderTest.apply(netlink.Header{Type: n.kind}, n.body); err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
		}
		view, removals := tableUnderTest.snapshot()
		got := ""
		if view != nil {
			if got = text(view); got == "" {
				got = "<empty>"
			}
		}
		if got != row.view {
			t.Errorf("%s: view %q, want %q", row.name, got, row.view)
		}
		words := make([]string, len(removals))
		for i, r := range removals {
			words[i] = r.Address.String()
		}
		if removed := strings.Join(words, " "); removed != row.removed {
			t.Errorf("%s: removed %q, want %q", row.name, removed, row.removed)
		}
	}
}

func TestPublishedViewsNeverChange(t *testing.T) {
	table := newTable()
	apply := func(kind netlink.HeaderType, body []byte) {
		if err := table.apply(netlink.Header{Type: kind}, body); err != nil {
			t.Fatal(err)
		}
	}
	apply(unix.RTM_NEWLINK, linkBody(t, "eth0", unix.AF_UNSPEC, 0))
	for i := range 20 {
		apply(unix.RTM_NEWADDR, addressBody(t, 2, fmt.Sprintf("192.0.2.%d/24", i+1), 0))
	}
	view, _ := table.snapshot()
	before := text(view)
	apply(unix.RTM_DELADDR, addressBody(t, 2, "192.0.2.3/24", 0))
	apply(unix.RTM_NEWADDR, addressBody(t, 2, "192.0.2.99/24", 0))
	apply(unix.RTM_NEWLINK, linkBody(t, "eth1", unix.AF_UNSPEC, 0))
	if got := text(view); got != before {
		t.Errorf("a published view became\n%s\nfrom\n%s", got, before)
	}
	later, _ := table.snapshot()
	if l, ok := later.Link("eth1"); !ok || len(l.Addresses) != 20 {
		t.Errorf("the later view is %s", text(later))
	}
	if _, ok := later.Link("eth0"); ok {
		t.Error("the old name is still found")
	}
}

func TestReplaceTellsWhatWasMissed(t *testing.T) {
	address := func(p string) inet.Address { return inet.Address{Prefix: netip.MustParsePrefix(p)} }
	table := newTable()
	table.replace([]Link{
		{Index: 1, Name: "lo"},
		{Index: 2, Name: "eth0", Addresses: []inet.Address{address("192.0.2.1/24"), address("192.0.2.10/24")}},
		{Index: 3, Name: "eth1", Addresses: []inet.Address{address("198.51.100.1/24")}},
	})
	if view, removed := table.snapshot(); view == nil || len(removed) > 0 {
		t.Fatalf("first dump: view %v, removed %v", view, removed)
	}
	same := []Link{
		{Index: 1, Name: "lo"},
		{Index: 2, Name: "eth0", Addresses: []inet.Address{address("192.0.2.1/24"), address("192.0.2.10/24")}},
		{Index: 3, Name: "eth1", Addresses: []inet.Address{address("198.51.100.1/24")}},
	}
	table.replace(same)
	if view, _ := table.snapshot(); view != nil {
		t.Errorf("an equal dump changed the view to %s", text(view))
	}
	table.replace([]Link{
		{Index: 1, Name: "lo"},
		{Index: 2, Name: "eth0", Addresses: []inet.Address{address("192.0.2.1/24"), address("192.0.2.11/24")}},
		{Index: 4, Name: "eth1"},
	})
	view, removed := table.snapshot()
	if view == nil {
		t.Fatal("no view after a different dump")
	}
	slices.SortFunc(removed, func(a, b Removal) int { return a.Index - b.Index })
	want := []Removal{
		{Link: "eth0", Index: 2, Address: netip.MustParsePrefix("192.0.2.10/24")},
		{Link: "eth1", Index: 3, Address: netip.MustParsePrefix("198.51.100.1/24")},
	}
	if !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	if got, want := text(view), "1 lo up=false; 2 eth0 up=false 192.0.2.1/24 192.0.2.11/24; 4 eth1 up=false; "; got != want {
		t.Errorf("view %q, want %q", got, want)
	}
}
