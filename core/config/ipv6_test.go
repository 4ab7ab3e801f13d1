package config

import (
	"strings"
	"testing"
)

// TestFirstIPv6Address: a list whose IPv6 addresses do not begin with a link-local
// one is warned of, wherever the others stand, and taken.
//
//rfc:9568/6.1-2 positive negative
func TestFirstIPv6Address(t *testing.T) {
	t.Parallel()
	for list, warned := range map[string]string{
		`"fe80::10/64", "2001:db8::10/64"`:                  "",
		`"192.0.2.10/24", "fe80::10/64", "2001:db8::10/64"`: "",
		`"192.0.2.10/24"`:                                   "",
		`"2001:db8::10/64", "fe80::10/64"`:                  `"2001:db8::10/64" is the first IPv6 address and is not link-local`,
		`"192.0.2.10/24", "2001:db8::10/64", "fe80::10/64"`: `"2001:db8::10/64" is the first IPv6 address and is not link-local`,
	} {
		text := "[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [" + list + "]\n"
		g, problems := Parse("halo.toml", []byte(text), Unseen{})
		if g == nil {
			t.Errorf("%s is refused: %s", list, problems)
			continue
		}
		if got := problems.String(); (got != "") != (warned != "") || !strings.Contains(got, warned) {
			t.Errorf("%s: %q, want %q", list, got, warned)
		}
	}
}
