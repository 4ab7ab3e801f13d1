package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
)

// TestStatusTellsWhatIsMissing holds that an active instance without something
// it should have says so, and why; one that should not have it says nothing.
func TestStatusTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	v := control.VRRPInstance{
		State: "active", Interface: "eth0", Entries: control.Entries{
			EntryError: "interface eth1 is missing",
			Addresses: []control.VirtualAddress{
				{Address: "192.0.2.10/24", Present: true},
				{Address: "192.0.2.11/24", Interface: "eth1", Excluded: true},
			},
		},
	}
	text := func() string {
		var b bytes.Buffer
		if err := printStatus(&b, control.Status{VRRPInstances: map[string]control.VRRPInstance{"VI_1": v}}, false); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	const want = "! VI_1: missing 192.0.2.11/24 on eth1: interface eth1 is missing\n"
	if got := text(); !strings.Contains(got, want) {
		t.Errorf("status:\n%swant in it:\n%s", got, want)
	}
	v.EntryError = ""
	if got := text(); !strings.Contains(got, "on eth1: not put there yet\n") {
		t.Errorf("status without a reason:\n%s", got)
	}
	v.State = "backup"
	if got := text(); strings.Contains(got, "missing") {
		t.Errorf("a backup misses something:\n%s", got)
	}
}

// Who reads the status finds the link that the addresses are on.
func TestStatusNamesTheVirtualInterface(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	err := printStatus(&page, control.Status{VRRPInstances: map[string]control.VRRPInstance{
		"VI_1": {State: "active", Interface: "eth0", VirtualRouterID: 51, VirtualInterface: "vrrp.51", VirtualMAC: "00:00:5e:00:01:33"},
		"VI_2": {State: "backup", Interface: "eth1", VirtualRouterID: 52},
	}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(page.String(), "\n") {
		switch fields := strings.Fields(line); {
		case strings.HasPrefix(line, "VI_1") && !strings.Contains(line, "eth0 (vrrp.51)"):
			t.Errorf("the link is not in %q", line)
		case strings.HasPrefix(line, "VI_2") && fields[4] != "eth1":
			t.Errorf("the interface is not in %q", line)
		}
	}
	if n := strings.Count(page.String(), "VI_"); n != 2 {
		t.Errorf("%d instances are shown:\n%s", n, page.String())
	}
}

// TestStatusTellsOfStaticEntries holds that what is static is told of in one line,
// and what is missing of it by name.
func TestStatusTellsOfStaticEntries(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := printStatus(&b, control.Status{Static: &control.Entries{
		Addresses:  []control.VirtualAddress{{Address: "192.0.2.5/24", Interface: "eth1", Present: true}},
		Routes:     []control.VirtualEntry{{Entry: "default via 192.0.2.254"}, {Entry: "10.0.0.0/8 dev eth1", Present: true}},
		Rules:      []control.VirtualEntry{{Entry: "priority 100 lookup 7"}},
		EntryError: "no such device",
	}}, false)
	const want = "\nSTATIC  addresses 1, routes 2, rules 1\n! static: missing route default via 192.0.2.254, rule priority 100 lookup 7: no such device\n"
	if err != nil || !strings.Contains(b.String(), want) {
		t.Errorf("status:\n%s%v\nwant in it:%s", &b, err, want)
	}
}
