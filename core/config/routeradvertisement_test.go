package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawRouterAdvertisement draws one for the round trip, or none.
func drawRouterAdvertisement(t *rapid.T) *RouterAdvertisement {
	if rapid.Bool().Draw(t, "no advertisement") {
		return nil
	}
	seconds := func(low, high int, what string) time.Duration {
		return time.Duration(rapid.IntRange(low, high).Draw(t, what)) * time.Second
	}
	a := &RouterAdvertisement{
		MaxInterval: seconds(4, 1800, "max_interval"), MinInterval: 3 * time.Second, Preference: "medium",
		Managed: rapid.Bool().Draw(t, "managed"), OtherConfig: rapid.Bool().Draw(t, "other_config"),
		HopLimit:      rapid.Uint8().Draw(t, "hop_limit"),
		ReachableTime: seconds(0, 3600, "reachable_time"), RetransmitTimer: seconds(0, 3600, "retransmit_timer"),
		DNSLifetime: seconds(1800, 86400, "dns_lifetime"),
	}
	if rapid.Bool().Draw(t, "default router") {
		a.Lifetime = seconds(1800, 9000, "lifetime")
		a.Preference = rapid.SampledFrom([]string{"low", "medium", "high"}).Draw(t, "preference")
	}
	if rapid.Bool().Draw(t, "mtu") {
		a.MTU = rapid.Uint16Range(1280, 65535).Draw(t, "mtu")
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "prefixes") {
		p := AdvertisedPrefix{
			Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(i)}), 64),
			OnLink: rapid.Bool().Draw(t, "on_link"), Autonomous: rapid.Bool().Draw(t, "autonomous"), ValidLifetime: 30 * day, PreferredLifetime: 7 * day,
		}
		if rapid.Bool().Draw(t, "lifetimes") {
			p.ValidLifetime = seconds(0, 1<<28, "valid_lifetime")
			p.PreferredLifetime = min(p.ValidLifetime, seconds(0, 1<<28, "preferred_lifetime"))
		}
		a.Prefixes = append(a.Prefixes, p)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "dns_servers") {
		a.DNSServers = append(a.DNSServers, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)}))
		a.DNSSearch = append(a.DNSSearch, rapid.StringMatching(`[a-z0-9]{1,20}`).Draw(t, "domain")+fmt.Sprintf(".x%d", i))
	}
	return a
}

// routerAdvertisement writes one in braces.
func (w *writer) routerAdvertisement(a *RouterAdvertisement) {
	if a == nil {
		return
	}
	fmt.Fprintf(&w.b, "router_advertisement = { max_interval = %q, min_interval = %q, lifetime = %q, preference = %q, managed = %t, other_config = %t, ",
		a.MaxInterval, a.MinInterval, a.Lifetime, a.Preference, a.Managed, a.OtherConfig)
	if a.MTU != 0 {
		fmt.Fprintf(&w.b, "mtu = %d, ", a.MTU)
	}
	if len(a.Prefixes) > 0 {
		w.b.WriteString("prefixes = [")
		for _, p := range a.Prefixes {
			if p.OnLink && p.Autonomous && p.ValidLifetime == 30*day && p.PreferredLifetime == 7*day {
				fmt.Fprintf(&w.b, "%q, ", p.Prefix)
				continue
			}
			fmt.Fprintf(&w.b, "{ prefix = %q, on_link = %t, autonomous = %t, valid_lifetime = %q, preferred_lifetime = %q }, ",
				p.Prefix, p.OnLink, p.Autonomous, p.ValidLifetime, p.PreferredLifetime)
		}
		w.b.WriteString("], ")
	}
	if len(a.DNSServers) > 0 {
		fmt.Fprintf(&w.b, "dns_servers = [%s], dns_search = [%s], ", quotedList(a.DNSServers), quotedList(a.DNSSearch))
	}
	fmt.Fprintf(&w.b, "hop_limit = %d, reachable_time = %q, retransmit_timer = %q, dns_lifetime = %q }\n",
		a.HopLimit, a.ReachableTime, a.RetransmitTimer, a.DNSLifetime)
}

func quotedList[T any](list []T) string {
	words := make([]string, 0, len(list))
	for _, element := range list {
		words = append(words, fmt.Sprintf("%q", fmt.Sprint(element)))
	}
	return strings.Join(words, ", ")
}

const advertising = `[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
addresses = ["fe80::10/64"]
`

// The defaults follow max_interval, and all that config accepts can be sent.
func TestRouterAdvertisementDefaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]RouterAdvertisement{
		"":                     {MaxInterval: 600 * time.Second, MinInterval: 200 * time.Second, Lifetime: 1800 * time.Second, DNSLifetime: 1800 * time.Second},
		`max_interval = "4s"`:  {MaxInterval: 4 * time.Second, MinInterval: 3 * time.Second, Lifetime: 12 * time.Second, DNSLifetime: 12 * time.Second},
		`max_interval = "30m"`: {MaxInterval: 30 * time.Minute, MinInterval: 10 * time.Minute, Lifetime: 90 * time.Minute, DNSLifetime: 90 * time.Minute},
	} {
		g, problems := parse("f", []byte(advertising+"router_advertisement = { "+text+" }\n"), testCatalogue(t), testMachine())
		if len(problems) > 0 {
			t.Fatalf("%s: %s", text, problems)
		}
		want.Preference, want.HopLimit = "medium", 64
		got := g.Instances["VI_1"].RouterAdvertisement
		if diff := compare(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if c := got.Radv(); c.Validate() != nil {
			t.Errorf("%s: %v", text, c.Validate())
		}
	}
	for name, in := range loadGood(t, "router-advertisement.toml").Instances {
		if c := in.RouterAdvertisement.Radv(); c.Validate() != nil {
			t.Errorf("%s: %v", name, c.Validate())
		}
	}
}

// Hosts know a router by a link-local address, so it must be the first.
func TestRouterAdvertisementNeedsALinkLocalAddress(t *testing.T) {
	t.Parallel()
	text := strings.Replace(advertising, `"fe80::10/64"`, `"2001:db8::10/64", "fe80::10/64"`, 1) + "router_advertisement = {}\n"
	_, problems := parse("f", []byte(text), testCatalogue(t), testMachine())
	const want = "f:5:24: vrrp_instance.VI_1.router_advertisement: hosts know a router by a link-local address, and the first IPv6 address is 2001:db8::10; " +
		`expected a link-local address in front of it, such as "fe80::10/64"`
	if errors := problems.Errors(); len(errors) != 1 || errors[0].String() != want {
		t.Errorf("problems:\n%s", problems)
	}
}

// What a reload says of it.
func TestRouterAdvertisementDiff(t *testing.T) {
	t.Parallel()
	load := func(text string) *Generation {
		g, problems := parse("f", []byte(advertising+text), testCatalogue(t), testMachine())
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return g
	}
	some := `router_advertisement = { mtu = 1400, prefixes = ["2001:db8::/64"], dns_servers = ["2001:db8::53"] }`
	for _, test := range []struct{ old, next, want string }{
		{"", some, "router_advertisement added"},
		{some, "", "router_advertisement removed"},
		{some, some, ""},
		{some, strings.Replace(some, "1400", "1500", 1), "router_advertisement.mtu 1400 -> 1500"},
		{some, strings.Replace(some, "mtu = 1400, ", "", 1), "router_advertisement.mtu 1400 removed"},
		{some, strings.Replace(some, "::53", "::54", 1), "router_advertisement.dns_servers 2001:db8::53 -> 2001:db8::54"},
		{
			some, strings.Replace(some, `"2001:db8::/64"`, `{ prefix = "2001:db8::/64", on_link = false, autonomous = false, valid_lifetime = "1h" }`, 1),
			"router_advertisement.prefixes 2001:db8::/64 for 720h preferred for 168h -> 2001:db8::/64 off-link not autonomous for 1h preferred for 1h",
		},
	} {
		got := Diff(load(test.old), load(test.next)).String()
		want := ""
		if test.want != "" {
			want = "vrrp_instance VI_1 changed: " + test.want + "\n"
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
