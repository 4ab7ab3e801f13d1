package ipvs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/ipvs"
)

func TestTableText(t *testing.T) {
	table := ipvs.Table{
		{Key: ipvs.MarkKey(10, ipvs.IPv6), Scheduler: "mh", Flags: ipvs.SchedulerFlag1 | ipvs.SchedulerFlag2},
		{Key: ipvs.MarkKey(10, ipvs.IPv4), Scheduler: "wlc", Flags: ipvs.SchedulerFlag1 | ipvs.SchedulerFlag3},
		{Key: ipvs.MarkKey(11, ipvs.IPv4), Scheduler: "sh", Flags: ipvs.SchedulerFlag2},
		{
			Key: ipvs.AddressKey(ipvs.TCP, addrPort(t, "[::ffff:192.0.2.10]:80")), Scheduler: "wrr",
			Persistence: ipvs.Persistence{Timeout: 50},
			Destinations: []ipvs.Destination{
				{Address: addrPort(t, "192.0.2.31:8080"), Forwarding: ipvs.Masquerade, Weight: 2147483647, UpperThreshold: 9, LowerThreshold: 3},
				{Address: addrPort(t, "192.0.2.30:80"), Forwarding: ipvs.DirectRoute},
				{Address: addrPort(t, "192.0.2.4:80"), Forwarding: ipvs.Tunnel, Weight: 1},
				{Address: addrPort(t, "192.0.2.5:80"), Forwarding: ipvs.LocalNode, Weight: 1},
			},
		},
		{
			Key: ipvs.AddressKey(ipvs.UDP, addrPort(t, "192.0.2.10:53")), Scheduler: "rr", Flags: ipvs.OnePacket,
			Persistence: ipvs.Persistence{Timeout: 300, PrefixLength: 20},
		},
		{
			Key: ipvs.AddressKey(ipvs.SCTP, addrPort(t, "[2001:db8::10]:80")), Scheduler: "sh", Flags: ipvs.SchedulerFlag3,
			Persistence:  ipvs.Persistence{Timeout: 300, PrefixLength: 64},
			Destinations: []ipvs.Destination{{Address: addrPort(t, "[2001:db8::20]:80"), Weight: 1}},
		},
		{Key: ipvs.AddressKey(ipvs.TCP, addrPort(t, "[2001:db8::10]:80")), Scheduler: "rr", Persistence: ipvs.Persistence{Timeout: 1, PrefixLength: 128}},
	}
	table.Sort()
	want := strings.Join([]string{
		"-A -u 192.0.2.10:53 -s rr -p 300 -M 255.255.240.0 -o",
		"-A -t 192.0.2.10:80 -s wrr -p 50",
		"-a -t 192.0.2.10:80 -r 192.0.2.4:80 -i -w 1",
		"-a -t 192.0.2.10:80 -r 192.0.2.5:80 -local -w 1",
		"-a -t 192.0.2.10:80 -r 192.0.2.30:80 -g -w 0",
		"-a -t 192.0.2.10:80 -r 192.0.2.31:8080 -m -w 2147483647 -x 9 -y 3",
		"-A -t [2001:db8::10]:80 -s rr -p 1",
		"-A --sctp-service [2001:db8::10]:80 -s sh -p 300 -M 64 -b flag-3",
		"-a --sctp-service [2001:db8::10]:80 -r [2001:db8::20]:80 -m -w 1",
		"-A -f 10 -s wlc -b flag-1,flag-3",
		"-A -f 10 -6 -s mh -b mh-fallback,mh-port",
		"-A -f 11 -s sh -b sh-port",
		"",
	}, "\n")
	if d := cmp.Diff(want, table.String()); d != "" {
		t.Errorf("table (-want +got):\n%s", d)
	}
}

func TestFind(t *testing.T) {
	table := parseTable(t, "-A -t 192.0.2.10:80 -s rr\n-A -t 192.0.2.9:80 -s sh\n-A -u 192.0.2.10:80 -s wlc")
	for _, s := range table {
		if got := table.Find(s.Key); got == nil || got.Scheduler != s.Scheduler {
			t.Errorf("find %v: %v", s.Key, got)
		}
	}
	if got := table.Find(ipvs.AddressKey(ipvs.TCP, addrPort(t, "192.0.2.11:80"))); got != nil {
		t.Errorf("found what is not there: %v", got)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	table := parseTable(t, "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1")
	c := table.Clone()
	c[0].Scheduler = "sh"
	c[0].Destinations[0].Weight = 9
	if got := table[0].Scheduler + " " + table[0].Destinations[0].Attributes(); got != "rr -m -w 1" {
		t.Errorf("the original became %q", got)
	}
}

func TestOpText(t *testing.T) {
	s := ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, addrPort(t, "192.0.2.10:80")), Scheduler: "rr"}
	d := ipvs.Destination{Address: addrPort(t, "192.0.2.30:80"), Forwarding: ipvs.Tunnel, Weight: 2}
	for verb, want := range map[ipvs.Verb][2]string{
		ipvs.AddService:        {"-A -t 192.0.2.10:80 -s rr", "add service"},
		ipvs.EditService:       {"-E -t 192.0.2.10:80 -s rr", "edit service"},
		ipvs.DeleteService:     {"-D -t 192.0.2.10:80", "delete service"},
		ipvs.AddDestination:    {"-a -t 192.0.2.10:80 -r 192.0.2.30:80 -i -w 2", "add destination"},
		ipvs.EditDestination:   {"-e -t 192.0.2.10:80 -r 192.0.2.30:80 -i -w 2", "edit destination"},
		ipvs.DeleteDestination: {"-d -t 192.0.2.10:80 -r 192.0.2.30:80", "delete destination"},
		99:                     {"verb 99", "verb 99"},
	} {
		op := ipvs.Op{Verb: verb, Service: s, Destination: d}
		if got := [2]string{op.String(), verb.String()}; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for word, method := range map[string]ipvs.Forwarding{"nat": ipvs.Masquerade, "dr": ipvs.DirectRoute, "tun": ipvs.Tunnel} {
		if got, ok := ipvs.ParseForwarding(word); !ok || got != method || got.String() != word {
			t.Errorf("%q is %v, %v", word, got, ok)
		}
	}
	for _, word := range []string{"", "NAT", "local", "bypass"} {
		if got, ok := ipvs.ParseForwarding(word); ok {
			t.Errorf("%q is %v", word, got)
		}
	}
	for got, want := range map[string]string{
		ipvs.LocalNode.String(): "local", ipvs.Bypass.String(): "bypass", ipvs.Forwarding(7).String(): "7",
		ipvs.TCP.String(): "tcp", ipvs.UDP.String(): "udp", ipvs.SCTP.String(): "sctp", ipvs.Protocol(1).String(): "1",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParseServiceKeyRefuses(t *testing.T) {
	for _, text := range []string{
		"", "tcp", "icmp:192.0.2.1:80", "tcp:192.0.2.1", "tcp:example.com:80", "fwmark:x:4",
		"fwmark:0:4", "fwmark:1", "fwmark:1:5", "fwmark:4294967296:4",
	} {
		k, err := ipvs.ParseServiceKey(text)
		if err == nil {
			t.Errorf("%q is read as %v", text, k)
			continue
		}
		if !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("%q: the error does not name it: %v", text, err)
		}
	}
}

func TestSchedulersAreNames(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range ipvs.Schedulers() {
		if s == "" || strings.ToLower(s) != s || len(s) > 15 || seen[s] {
			t.Errorf("%q is not one of the kernel's names, or is there twice", s)
		}
		seen[s] = true
	}
	if len(seen) != 14 {
		t.Errorf("%d schedulers, Linux has 14", len(seen))
	}
}
