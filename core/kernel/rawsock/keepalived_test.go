package rawsock_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Keepalived is believed by the receive checks, and believes what is sent here: it
// makes way for a higher priority. In every form in which both speak.
func TestLiveKeepalived(t *testing.T) {
	kerneltest.RequireTool(t, "keepalived")
	password, err := wire.NewPassword("geheim")
	if err != nil {
		t.Fatal(err)
	}
	four, six := []netip.Addr{addr("192.0.2.10")}, []netip.Addr{addr("fe80::10"), addr("2001:db8::10")}
	v2 := wire.Advertisement{Version: wire.V2, VRID: 51, Priority: 200, Interval: time.Second, Addresses: four}
	pass, header, v3 := v2, v2, v2
	pass.Auth = wire.Auth{Type: wire.AuthPassword, Password: password}
	header.Auth = wire.Auth{Type: wire.AuthHeader, Password: password}
	v3.Version, v3.Interval = wire.V3, 100*time.Millisecond
	v6 := v3
	v6.Family, v6.Addresses = wire.IPv6, six
	for _, tt := range []struct {
		name   string
		advert wire.Advertisement
		lines  string
	}{
		{"v2", v2, "version 2\nadvert_int 1\n"},
		{"v2 with a password", pass, "version 2\nadvert_int 1\nauthentication {\nauth_type PASS\nauth_pass geheim\n}\n"},
		{"v2 with a header", header, "version 2\nadvert_int 1\nauthentication {\nauth_type AH\nauth_pass geheim\n}\n"},
		{"v3", v3, "version 3\nadvert_int 0.1\n"},
		{"v3 over IPv6", v6, "version 3\nadvert_int 0.1\n"},
	} {
		for _, unicast := range []bool{false, true} {
			name := tt.name + " to the group"
			if unicast {
				name = tt.name + " to a peer"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				meetKeepalived(t, tt.advert, tt.lines, unicast)
			})
		}
	}
}

func meetKeepalived(t *testing.T, advert wire.Advertisement, lines string, unicast bool) {
	t.Helper()
	n := lab.New(t)
	a, b := n.Host("a", "192.0.2.1/24"), n.Host("b", "192.0.2.2/24")
	for i, h := range []*lab.Host{a, b} {
		h.AddAddress("eth0", fmt.Sprintf("fe80::%d/64", i+1))
		h.AddAddress("eth0", fmt.Sprintf("2001:db8::%d/64", i+1))
	}
	source, peer := addr("192.0.2.1"), addr("192.0.2.2")
	if advert.Family == wire.IPv6 {
		source, peer = addr("2001:db8::1"), addr("2001:db8::2")
	}
	expect := wire.Expect{
		Version: advert.Version, Family: advert.Family, Interval: advert.Interval, Auth: advert.Auth,
		Addresses: advert.Addresses, Group: source, Sequence: &wire.Sequence{},
	}
	if unicast {
		lines += fmt.Sprintf("unicast_src_ip %v\nunicast_peer {\n%v\n}\n", peer, source)
	} else {
		expect.Group, peer = advert.Family.Group(), advert.Family.Group()
		if advert.Family == wire.IPv6 {
			source = addr("fe80::1")
		}
	}
	x, ready := openTransport(t, a.Namespace, rawsock.Transport{
		Interface: "eth0", Family: advert.Family, Group: !unicast, AH: advert.Auth.Type == wire.AuthHeader,
	})
	virtual := make([]string, 0, len(advert.Addresses))
	for _, v := range advert.Addresses {
		virtual = append(virtual, v.String())
	}
	keepalived := b.Keepalived("vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\npriority 100\n" + lines +
		"virtual_ipaddress {\n" + strings.Join(virtual, "\n") + "\n}\n}\n")

	var heard wire.Advertisement
	payload, meta := next(t, x, ready)
	ttl := meta.TTL
	if unicast {
		// What may come with which TTL is the caller's to say. Keepalived leaves
		// that of unicast over IPv6 to the kernel.
		meta.TTL = wire.HopLimit
	}
	wantTTL := uint8(255)
	if unicast && advert.Family == wire.IPv6 {
		wantTTL = 64
	}
	findings, drop := expect.Check(payload, meta, &heard)
	if drop != wire.DropNone || findings.Any() || heard.Priority != 100 || !slices.Equal(heard.Addresses, advert.Addresses) || ttl != wantTTL {
		t.Fatalf("dropped for %v, findings %+v, %v with TTL %d; Keepalived:\n%s", drop, findings, heard, ttl, keepalived.Output())
	}
	// The first time is when it starts.
	for deadline := time.Now().Add(patience); strings.Count(keepalived.Output(), "Entering BACKUP STATE") < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("Keepalived does not make way:\n%s", keepalived.Output())
		}
		message, err := advert.Append(nil, source, peer, wire.PseudoHeader)
		if advert.Auth.Type == wire.AuthHeader {
			message, err = advert.AppendAH(nil, source, peer, wire.HopLimit, expect.Sequence.Next())
		}
		if err == nil {
			err = x.Send(message, source, peer)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
