package e2e

import (
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// leftText is the configuration of a run that is killed.
const leftText = `[static]
addresses = [{ address = "192.0.2.60/24", interface = "eth0" }]
rules = [{ priority = 300, from = "192.0.2.60", table = 7 }]

[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
advert_interval = "200ms"
addresses = ["192.0.2.10/24"]
excluded_addresses = ["192.0.2.11/24", "2001:db8::11/64"]
routes = [{ destination = "10.0.0.0/8", via = "192.0.2.254" }, { destination = "10.1.0.0/16", via = "192.0.2.254" }]
rules = [{ priority = 100, from = "192.0.2.11", table = 7 }]
`

func leftThere(t *testing.T, h *lab.Host) bool {
	t.Helper()
	for _, a := range []string{"192.0.2.60", "192.0.2.10", "192.0.2.11", "2001:db8::11"} {
		if !h.HasAddress("eth0", a) {
			return false
		}
	}
	return containsAll(routing(t, h), "10.0.0.0/8 via", "10.1.0.0/16 via", "100: from 192.0.2.11", "300: from 192.0.2.60")
}

// TestLeftOversOfAnotherConfiguration proves that a start removes what a killed
// run has left that is not configured any more, leaves what still is, and touches
// nothing of anybody else's.
func TestLeftOversOfAnotherConfiguration(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(leftText)
	lab.Eventually(t, "everything", func() bool { return leftThere(t, a) })
	halo.Kill()
	a.AddAddress("eth0", "192.0.2.61/24")
	for _, command := range []string{"route add 10.2.0.0/16 via 192.0.2.254", "rule add priority 200 from 192.0.2.61 table 7"} {
		if out, err := a.Output("ip", strings.Fields(command)...); err != nil {
			t.Fatalf("ip %s: %v\n%s", command, err, out)
		}
	}
	monitor := a.Start("ip", "-o", "monitor", "address", "route", "rule")
	lab.Eventually(t, "the monitor hears", func() bool {
		a.AddAddress("eth0", "192.0.2.62/24")
		a.DelAddress("eth0", "192.0.2.62/24")
		return strings.Contains(monitor.Output(), "192.0.2.62")
	})
	halo.Write(t, strings.NewReplacer(
		`"192.0.2.11/24", `, "", `, { destination = "10.1.0.0/16", via = "192.0.2.254" }`, "",
		`rules = [{ priority = 100, from = "192.0.2.11", table = 7 }]`, "", `rules = [{ priority = 300, from = "192.0.2.60", table = 7 }]`, "",
	).Replace(leftText))
	halo.Start(t)
	halo.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "what is not configured is gone, what is, is there", func() bool {
		text := routing(t, a)
		return !a.HasAddress("eth0", "192.0.2.11") && !strings.Contains(text, "10.1.0.0/16") && !strings.Contains(text, "100: from") && !strings.Contains(text, "300: from") &&
			a.HasAddress("eth0", "192.0.2.10") && a.HasAddress("eth0", "192.0.2.60") && a.HasAddress("eth0", "2001:db8::11") && strings.Contains(text, "10.0.0.0/8 via")
	})
	if text := routing(t, a); !a.HasAddress("eth0", "192.0.2.61") || !containsAll(text, "10.2.0.0/16 via", "200: from 192.0.2.61") {
		t.Errorf("somebody else's are gone:\n%s", text)
	}
	// What is static is there whatever the state, so nobody takes it away meanwhile.
	if strings.Contains(monitor.Output(), "Deleted 2: eth0    inet 192.0.2.60") {
		t.Errorf("what is static was taken away:\n%s", monitor.Output())
	}
	halo.WaitOutput(`"drift":"left_over"`)
}

// TestTwoHalosLeaveEachOtherAlone proves that of two halos in one network namespace
// none takes the other's entries for left-overs.
func TestTwoHalosLeaveEachOtherAlone(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	first := a.Halo(leftText)
	lab.Eventually(t, "everything", func() bool { return leftThere(t, a) })
	second := a.Halo(instance(9, 100))
	second.WaitState(t, "VI_9", "active")
	second.WaitOutput("another halo runs in this network namespace")
	second.Kill()
	second.Start(t)
	second.WaitState(t, "VI_9", "active")
	if !leftThere(t, a) {
		t.Error("the other one's entries are gone")
	}
	if strings.Contains(first.Output(), "drift") {
		t.Errorf("it had to repair something:\n%s", first.Output())
	}
}
