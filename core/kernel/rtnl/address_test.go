package rtnl

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// shown is an address as `ip -j address` shows it.
type shown struct {
	Local         string `json:"local"`
	PeerAddress   string `json:"address"`
	Bits          int    `json:"prefixlen"`
	Broadcast     string `json:"broadcast"`
	Scope         string `json:"scope"`
	Label         string `json:"label"`
	Protocol      string `json:"protocol"`
	Preferred     uint32 `json:"preferred_life_time"`
	NoPrefixRoute bool   `json:"noprefixroute"`
	NoDAD         bool   `json:"nodad"`
	Tentative     bool   `json:"tentative"`
	Deprecated    bool   `json:"deprecated"`
	Home          bool   `json:"home"`
	AutoJoin      bool   `json:"autojoin"`
	MngTmpAddr    bool   `json:"mngtmpaddr"`
}

// ip runs an independent reader of the kernel's state and reads its answer.
func ip[T any](t *testing.T, n *kerneltest.Namespace, args ...string) T {
	t.Helper()
	kerneltest.RequireTool(t, "ip")
	out, err := n.Output("ip", append([]string{"-j", "-d"}, args...)...)
	if err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
	var answer T
	if err := json.Unmarshal([]byte(out), &answer); err != nil && strings.TrimSpace(out) != "" {
		t.Fatalf("ip %v says %q: %v", args, out, err)
	}
	return answer
}

// addressesShown are the addresses of eth0 by their local part.
func addressesShown(t *testing.T, n *kerneltest.Namespace) map[string]shown {
	t.Helper()
	links := ip[[]struct {
		Addresses []shown `json:"addr_info"`
	}](t, n, "address", "show", "dev", "eth0")
	byLocal := make(map[string]shown)
	for _, l := range links {
		for _, a := range l.Addresses {
			a.Protocol = "" // The marks have a test of their own, since old kernels have none.
			byLocal[a.Local] = a
		}
	}
	return byLocal
}

const forever = 4294967295

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func TestAddressAttributesAsAnIndependentReaderSeesThem(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	rows := []struct {
		name    string
		address inet.Address
		want    shown
	}{
		{
			"plain IPv4",
			inet.Address{Prefix: prefix("192.0.2.10/24")},
			shown{Local: "192.0.2.10", Bits: 24, Scope: "global", Label: "eth0", Preferred: forever},
		},
		{
			"label, broadcast and scope",
			inet.Address{Prefix: prefix("198.51.100.10/25"), Label: "eth0:vip", Broadcast: netip.MustParseAddr("198.51.100.127"), Scope: inet.ScopeLink},
			shown{Local: "198.51.100.10", Bits: 25, Scope: "link", Label: "eth0:vip", Broadcast: "198.51.100.127", Preferred: forever},
		},
		{
			"peer",
			inet.Address{Prefix: prefix("203.0.113.1/30"), Peer: netip.MustParseAddr("203.0.113.130")},
			shown{Local: "203.0.113.1", PeerAddress: "203.0.113.130", Bits: 30, Scope: "global", Label: "eth0", Preferred: forever},
		},
		{
			"deprecated IPv4",
			inet.Address{Prefix: prefix("192.0.2.11/32"), Deprecated: true},
			shown{Local: "192.0.2.11", Bits: 32, Scope: "global", Label: "eth0", Deprecated: true, Preferred: forever}, // The kernel shows no lifetimes of what is valid for ever.
		},
		{
			"without route",
			inet.Address{Prefix: prefix("10.1.2.3/16"), NoPrefixRoute: true, Scope: inet.ScopeHost},
			shown{Local: "10.1.2.3", Bits: 16, Scope: "host", Label: "eth0", NoPrefixRoute: true, Preferred: forever},
		},
		{
			"plain IPv6",
			inet.Address{Prefix: prefix("2001:db8::10/64")},
			shown{Local: "2001:db8::10", Bits: 64, Scope: "global", NoDAD: true, Preferred: forever},
		},
		{
			"link-local IPv6",
			inet.Address{Prefix: prefix("fe80::10/64")},
			shown{Local: "fe80::10", Bits: 64, Scope: "link", NoDAD: true, Preferred: forever},
		},
		{
			"deprecated IPv6",
			inet.Address{Prefix: prefix("2001:db8::11/128"), Deprecated: true, NoPrefixRoute: true},
			shown{Local: "2001:db8::11", Bits: 128, Scope: "global", NoDAD: true, Deprecated: true, NoPrefixRoute: true},
		},
		{
			"IPv6 peer",
			inet.Address{Prefix: prefix("2001:db8:1::1/128"), Peer: netip.MustParseAddr("2001:db8:1::2")},
			shown{Local: "2001:db8:1::1", PeerAddress: "2001:db8:1::2", Bits: 128, Scope: "global", NoDAD: true, Preferred: forever},
		},
		{
			"IPv6 flags",
			inet.Address{Prefix: prefix("2001:db8:2::1/64"), Home: true, ManageTemporary: true},
			shown{Local: "2001:db8:2::1", Bits: 64, Scope: "global", NoDAD: true, Home: true, MngTmpAddr: true, Preferred: forever},
		},
	}
	var all []inet.Address
	for _, r := range rows {
		all = append(all, r.address)
	}
	for range 2 { // The second time everything is there already.
		if err := h.PutAddresses("eth0", all); err != nil {
			t.Fatal(err)
		}
	}
	seen := addressesShown(t, n)
	found, err := h.ListAddresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	var gone []netip.Prefix
	for _, r := range rows {
		if got := seen[r.want.Local]; got != r.want {
			t.Errorf("%s: ip shows\n%+v, want\n%+v", r.name, got, r.want)
		}
		i := slices.IndexFunc(found, func(a inet.Address) bool { return a.ID() == r.address.ID() })
		if i < 0 || !found[i].Satisfies(r.address) {
			t.Errorf("%s: found among %+v, or is not as wanted", r.name, found)
		}
		gone = append(gone, r.address.Prefix)
	}
	for range 2 {
		if err := h.DelAddresses("eth0", gone); err != nil {
			t.Fatal(err)
		}
	}
	for local := range addressesShown(t, n) {
		if local != "fe80::10" && !strings.HasPrefix(local, "fe80::") {
			t.Errorf("%s is left", local)
		}
	}
}

// Duplicate address detection leaves an address unusable for a second or more,
// which a virtual address cannot wait for.
func TestDuplicateAddressDetectionIsOffUnlessAskedFor(t *testing.T) {
	n := pair(t)
	n.Sysctl("ipv6/conf/eth0/dad_transmits", "100")
	h := openIn(t, n)
	if err := h.PutAddresses("eth0", []inet.Address{
		{Prefix: prefix("2001:db8::10/64")},
		{Prefix: prefix("2001:db8::11/64"), DetectDuplicates: true},
	}); err != nil {
		t.Fatal(err)
	}
	seen := addressesShown(t, n)
	if a := seen["2001:db8::10"]; !a.NoDAD || a.Tentative {
		t.Errorf("without detection: %+v", a)
	}
	if a := seen["2001:db8::11"]; a.NoDAD || !a.Tentative {
		t.Errorf("with detection: %+v", a)
	}
	found, err := h.ListAddresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range found {
		if tentative := a.Addr() == netip.MustParseAddr("2001:db8::11"); a.Addr().String()[:4] == "2001" && a.Tentative != tentative {
			t.Errorf("%s: tentative is %v", a, a.Tentative)
		}
	}
}

func TestPreferredLifetimeRuns(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	want := inet.Address{Prefix: prefix("192.0.2.10/24"), PreferredFor: 100 * time.Second}
	if err := h.PutAddresses("eth0", []inet.Address{want}); err != nil {
		t.Fatal(err)
	}
	if a := addressesShown(t, n)["192.0.2.10"]; a.Preferred == 0 || a.Preferred > 100 {
		t.Errorf("ip shows %+v, want up to 100 seconds left", a)
	}
	found, err := h.ListAddresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found, func(a inet.Address) bool { return a.ID() == want.ID() })
	if i < 0 || !found[i].Satisfies(want) {
		t.Errorf("found %+v, want %s", found, want)
	}
}

func TestPutAddressesAdaptsOnlyItsOwn(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	n.AddAddress("eth0", "192.0.2.1/24")
	if err := h.AddAddresses("eth0", prefixes("192.0.2.10/24", "198.51.100.10/24", "2001:db8::10/64")); err != nil {
		t.Fatal(err)
	}
	_, marked, err := h.Addresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if len(marked) == 0 {
		t.Skip("a kernel before 5.18 does not tell whose an address is")
	}
	wanted := []inet.Address{
		{Prefix: prefix("192.0.2.1/24"), Label: "eth0:own"},
		{Prefix: prefix("192.0.2.10/24"), Label: "eth0:vip"},
		{Prefix: prefix("198.51.100.10/24"), Scope: inet.ScopeLink},
		{Prefix: prefix("2001:db8::10/64"), Deprecated: true, NoPrefixRoute: true},
	}
	if err := h.PutAddresses("eth0", wanted); err != nil {
		t.Fatal(err)
	}
	seen := addressesShown(t, n)
	if a := seen["192.0.2.1"]; a.Label != "eth0" {
		t.Errorf("the machine's own address became %+v", a)
	}
	if a := seen["192.0.2.10"]; a.Label != "eth0:vip" {
		t.Errorf("an address that had to be made anew is %+v", a)
	}
	if a := seen["198.51.100.10"]; a.Scope != "link" {
		t.Errorf("an address that had to be made anew is %+v", a)
	}
	if a := seen["2001:db8::10"]; !a.Deprecated || !a.NoPrefixRoute || a.Preferred != 0 {
		t.Errorf("an address that could be changed in place is %+v", a)
	}
	// And back.
	if err := h.PutAddresses("eth0", []inet.Address{
		{Prefix: prefix("192.0.2.10/24")}, {Prefix: prefix("2001:db8::10/64")},
	}); err != nil {
		t.Fatal(err)
	}
	seen = addressesShown(t, n)
	if a := seen["192.0.2.10"]; a.Label != "eth0" {
		t.Errorf("plain again: %+v", a)
	}
	if a := seen["2001:db8::10"]; a.Deprecated || a.NoPrefixRoute || a.Preferred != forever {
		t.Errorf("plain again: %+v", a)
	}
	// The kernel wants one scope in a subnet, and the machine's own address has
	// another: the address stays as it was.
	err = h.PutAddresses("eth0", []inet.Address{{Prefix: prefix("192.0.2.10/24"), Scope: inet.ScopeLink}})
	if !errors.Is(err, unix.EINVAL) {
		t.Errorf("impossible scope: %v, want EINVAL", err)
	}
	if a := addressesShown(t, n)["192.0.2.10"]; a.Scope != "global" {
		t.Errorf("after the failure: %+v, want it as it was", a)
	}
}

// Changing in place keeps an address: connections to it go on.
func TestPutAddressesChangesLifetimesInPlace(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	m := watchIn(t, n, 0)
	s := m.Subscribe()
	if err := h.AddAddresses("eth0", prefixes("2001:db8::10/64")); err != nil {
		t.Fatal(err)
	}
	await(t, s, "address", hasAddress("2001:db8::10/64"))
	if err := h.PutAddresses("eth0", []inet.Address{{Prefix: prefix("2001:db8::10/64"), Deprecated: true}}); err != nil {
		t.Fatal(err)
	}
	_, removed := await(t, s, "deprecated", func(v *View) bool {
		l, _ := v.Link("eth0")
		return slices.ContainsFunc(l.Addresses, func(a inet.Address) bool { return a.Addr() == netip.MustParseAddr("2001:db8::10") && a.Deprecated })
	})
	if len(removed) > 0 {
		t.Errorf("removed on the way: %v", removed)
	}
}

func TestBatchErrorsNameEachFailure(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	err := h.PutAddresses("eth0", []inet.Address{
		{Prefix: prefix("192.0.2.10/24")},
		{Prefix: prefix("192.0.2.11/24"), Label: "a-label-that-is-too-long"},
		{},
		{Prefix: prefix("2001:db8::10/64"), Broadcast: netip.MustParseAddr("192.0.2.255")},
		{Prefix: prefix("224.0.0.18/24")},
		{Prefix: prefix("ff02::12/64")},
		{Prefix: prefix("192.0.2.12/24")},
	})
	batch, ok := errors.AsType[*inet.BatchError](err)
	if !ok {
		t.Fatalf("got %v, want a BatchError", err)
	}
	var failed []int
	for _, f := range batch.Failures {
		failed = append(failed, f.Index)
	}
	// An IPv4 multicast address is an address to the kernel.
	if !slices.Equal(failed, []int{1, 2, 3, 5}) {
		t.Errorf("failed are %v: %v", failed, batch.Unwrap())
	}
	if !strings.Contains(err.Error(), "put address 192.0.2.11/24 label a-label-that-is-too-long on eth0") || !strings.Contains(err.Error(), "(and 3 more)") {
		t.Errorf("error %q", err)
	}
	if !n.HasAddress("eth0", "192.0.2.10") || !n.HasAddress("eth0", "192.0.2.12") {
		t.Error("bad addresses kept good ones from being added")
	}
	if err := h.PutAddresses("eth7", nil); !errors.Is(err, unix.ENODEV) {
		t.Errorf("missing link: %v", err)
	}
}

// An IPv6 address is the same to the kernel whatever its prefix length, and a
// wanted one must not be taken to be there because another one is.
func TestPutAddressesTellsOfAnotherPrefixLength(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	if err := h.AddAddresses("eth0", prefixes("2001:db8::10/128")); err != nil {
		t.Fatal(err)
	}
	if err := h.PutAddresses("eth0", []inet.Address{{Prefix: prefix("2001:db8::10/64")}}); !errors.Is(err, unix.EEXIST) {
		t.Errorf("got %v, want EEXIST", err)
	}
}

func TestThousandAddressesOfBothFamilies(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	var wanted []inet.Address
	var gone []netip.Prefix
	for i, p := range many(1000, 32) {
		if i%2 == 1 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}), 128)
		}
		wanted, gone = append(wanted, inet.Address{Prefix: p, Deprecated: i%2 == 1}), append(gone, p)
	}
	if err := h.PutAddresses("eth0", wanted); err != nil {
		t.Fatal(err)
	}
	if seen := addressesShown(t, n); len(seen) < 1000 {
		t.Errorf("%d addresses are shown", len(seen))
	}
	if err := h.DelAddresses("eth0", gone); err != nil {
		t.Fatal(err)
	}
	for local := range addressesShown(t, n) {
		if !strings.HasPrefix(local, "fe80:") {
			t.Fatalf("%s is left", local)
		}
	}
}
