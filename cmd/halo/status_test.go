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
		State: "active", Interface: "eth0", EntryError: "interface eth1 is missing",
		Addresses: []control.VirtualAddress{
			{Address: "192.0.2.10/24", Present: true},
			{Address: "192.0.2.11/24", Interface: "eth1", Excluded: true},
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
