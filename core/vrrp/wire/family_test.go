package wire_test

import (
	"net/netip"
	"testing"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// RFC 9568 §5.1.1.2 and §5.1.2.2, and the registered form of the latter.
//
//rfc:9568/7.2-7 positive
//rfc:3768/7.2-6 positive
func TestGroups(t *testing.T) {
	for family, want := range map[wire.Family]string{wire.IPv4: "224.0.0.18", wire.IPv6: "ff02::12"} {
		if got := family.Group(); got != netip.MustParseAddr(want) {
			t.Errorf("%v advertisements go to %v, want %s", family, got, want)
		}
	}
	if wire.GroupIPv4() != wire.IPv4.Group() || wire.GroupIPv6() != wire.IPv6.Group() {
		t.Error("the groups' two names differ")
	}
}

func TestFamilyWords(t *testing.T) {
	if got := wire.IPv4.String() + " " + wire.IPv6.String(); got != "ipv4 ipv6" {
		t.Errorf("the families are called %s", got)
	}
	var zero wire.Advertisement
	if zero.Family != wire.IPv4 {
		t.Error("an advertisement that says nothing is not one over IPv4")
	}
}

func TestFamilyHas(t *testing.T) {
	tests := []struct {
		addr       string
		four, six  bool
		firstOfSix bool
	}{
		{"192.0.2.1", true, false, false},
		{"169.254.0.1", true, false, false},
		{"fe80::1", false, true, true},
		{"fe80::1%eth0", false, true, true},
		{"febf:ffff::1", false, true, true},
		{"fec0::1", false, true, false},
		{"2001:db8::1", false, true, false},
		{"::ffff:192.0.2.1", false, false, false},
	}
	for _, tt := range tests {
		addr := netip.MustParseAddr(tt.addr)
		if four, six := wire.IPv4.Has(addr), wire.IPv6.Has(addr); four != tt.four || six != tt.six {
			t.Errorf("%s: in IPv4 %v, in IPv6 %v", addr, four, six)
		}
		if got := wire.FamilyOf(addr); (got == wire.IPv6) != tt.six {
			t.Errorf("%s is of family %v", addr, got)
		}
		if got := wire.IPv6.LinkLocalFirst([]netip.Addr{addr}); got != tt.firstOfSix {
			t.Errorf("%s can be the first address: %v", addr, got)
		}
		if !wire.IPv4.LinkLocalFirst([]netip.Addr{addr}) {
			t.Errorf("IPv4 minds %s", addr)
		}
	}
	if wire.IPv4.Has(netip.Addr{}) || wire.IPv6.Has(netip.Addr{}) {
		t.Error("no address belongs to a family")
	}
	if wire.FamilyOf(netip.Addr{}) != wire.IPv4 {
		t.Error("no address is not of the zero family")
	}
	if wire.IPv6.LinkLocalFirst(nil) {
		t.Error("no address is a link-local one")
	}
}
