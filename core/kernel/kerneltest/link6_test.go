package kerneltest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

func TestNamespacesSpeakIPv6AtOnce(t *testing.T) {
	lan := kerneltest.NewSwitch(t, "lan")
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	lan.Attach(a, "eth0", "2001:db8::1/64", "192.0.2.1/24")
	lan.Attach(b, "eth0", "2001:db8::2/64")
	if !a.HasAddress("eth0", "2001:db8::1") || a.HasAddress("eth0", "2001:db8::2") || !a.HasAddress("eth0", "192.0.2.1") {
		t.Error("addresses are not told apart")
	}
	if got := a.Addresses6("eth0"); !slices.Contains(got, prefixes("2001:db8::1/64")[0]) || slices.Contains(got, prefixes("192.0.2.1/24")[0]) {
		t.Errorf("IPv6 addresses %v", got)
	}
	if got := a.Addresses6("eth7"); len(got) > 0 {
		t.Errorf("addresses %v of no interface", got)
	}
	a.LearnNeighbour("2001:db8::2")
	for deadline := time.Now().Add(time.Minute); a.Neighbour("eth0", "2001:db8::2") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the neighbour is never learnt")
		}
	}
	if got := a.Neighbour("eth0", "2001:db8::2").String(); got != b.MAC("eth0").String() {
		t.Errorf("neighbour %s, want %s", got, b.MAC("eth0"))
	}
	a.DelAddress("eth0", "2001:db8::1/64")
	if a.HasAddress("eth0", "2001:db8::1") {
		t.Error("the address is still there")
	}
}
