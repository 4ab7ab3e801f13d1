package ipvs_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/ipvs"
)

func addrPort(tb testing.TB, text string) netip.AddrPort {
	tb.Helper()
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// parseTable reads the lines that Table.String writes, as far as the tables of
// these tests use them: "-A -t ADDRESS -s NAME [-p SECONDS]" and
// "-a -t ADDRESS -r ADDRESS -m|-g|-i -w WEIGHT".
func parseTable(tb testing.TB, text string) ipvs.Table {
	tb.Helper()
	var t ipvs.Table
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		protocol := ipvs.TCP
		if f[1] == "-u" {
			protocol = ipvs.UDP
		}
		key := ipvs.AddressKey(protocol, addrPort(tb, f[2]))
		if f[0] == "-A" {
			s := ipvs.Service{Key: key, Scheduler: f[4]}
			if len(f) > 5 {
				s.Persistence.Timeout = number(tb, f[6])
			}
			t = append(t, s)
			continue
		}
		i := slices.IndexFunc(t, func(s ipvs.Service) bool { return s.Key == key })
		method := map[string]ipvs.Forwarding{"-m": ipvs.Masquerade, "-g": ipvs.DirectRoute, "-i": ipvs.Tunnel}[f[5]]
		t[i].Destinations = append(t[i].Destinations, ipvs.Destination{
			Address: addrPort(tb, f[4]), Forwarding: method, Weight: number(tb, f[7]),
		})
	}
	t.Sort()
	return t
}

func number(tb testing.TB, text string) uint32 {
	tb.Helper()
	var n uint32
	for _, c := range text {
		if c < '0' || c > '9' {
			tb.Fatalf("%q is not a number", text)
		}
		n = n*10 + uint32(c-'0')
	}
	return n
}

func lines(ops []ipvs.Op) string {
	var b strings.Builder
	for i := range ops {
		b.WriteString(ops[i].String() + "\n")
	}
	return b.String()
}

func TestDiff(t *testing.T) {
	const web = "-A -t 192.0.2.10:80 -s wrr\n"
	tests := []struct {
		name           string
		actual, wanted string
		owned          []string // addresses of tcp services in actual that are ours
		want           string
	}{
		{name: "both empty"},
		{
			name:   "equal",
			actual: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1",
			wanted: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1",
		},
		{
			name:   "a service is added before its destinations",
			wanted: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -g -w 3",
			want:   web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -g -w 3\n",
		},
		{
			name:   "a destination is replaced by adding first",
			actual: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1",
			wanted: web + "-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 1",
			want: "-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 1\n" +
				"-d -t 192.0.2.10:80 -r 192.0.2.30:80\n",
		},
		{
			name: "weight is given before it is taken",
			actual: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 5\n" +
				"-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 0",
			wanted: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 0\n" +
				"-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 5",
			want: "-e -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 5\n" +
				"-e -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 0\n",
		},
		{
			name:   "the forwarding method is edited",
			actual: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1",
			wanted: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -g -w 1",
			want:   "-e -t 192.0.2.10:80 -r 192.0.2.30:80 -g -w 1\n",
		},
		{
			name:   "scheduler and persistence are edited",
			actual: web + "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1",
			wanted: "-A -t 192.0.2.10:80 -s sh -p 50\n-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1",
			want:   "-E -t 192.0.2.10:80 -s sh -p 50\n",
		},
		{
			name:   "all at once, in order",
			actual: "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1\n-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 1",
			wanted: "-A -t 192.0.2.10:80 -s wlc\n-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 2\n-a -t 192.0.2.10:80 -r 192.0.2.32:80 -m -w 1",
			want: "-E -t 192.0.2.10:80 -s wlc\n" +
				"-a -t 192.0.2.10:80 -r 192.0.2.32:80 -m -w 1\n" +
				"-e -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 2\n" +
				"-d -t 192.0.2.10:80 -r 192.0.2.30:80\n",
		},
		{
			name:   "what is not ours stays",
			actual: "-A -t 192.0.2.9:25 -s rr\n-a -t 192.0.2.9:25 -r 192.0.2.40:25 -m -w 1\n-A -t 192.0.2.99:25 -s rr",
			wanted: web,
			want:   web,
		},
		{
			name:   "what is ours and no longer wanted goes last",
			actual: "-A -t 192.0.2.9:25 -s rr\n-a -t 192.0.2.9:25 -r 192.0.2.40:25 -m -w 1\n-A -t 192.0.2.99:25 -s rr",
			wanted: web,
			owned:  []string{"192.0.2.9:25"},
			want:   web + "-D -t 192.0.2.9:25\n",
		},
		{
			name:   "the protocol is part of the identity",
			actual: "-A -t 192.0.2.10:53 -s rr",
			wanted: "-A -u 192.0.2.10:53 -s rr",
			owned:  []string{"192.0.2.10:53"},
			want:   "-A -u 192.0.2.10:53 -s rr\n-D -t 192.0.2.10:53\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			owned := func(k ipvs.ServiceKey) bool {
				return slices.Contains(tt.owned, k.Address.String()) && k.Protocol == ipvs.TCP
			}
			ops := ipvs.Diff(nil, parseTable(t, tt.actual), parseTable(t, tt.wanted), owned)
			if d := cmp.Diff(tt.want, lines(ops)); d != "" {
				t.Errorf("operations (-want +got):\n%s", d)
			}
		})
	}
}

func TestDiffTellsWhatAnEditReplaces(t *testing.T) {
	actual := parseTable(t, "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1")
	wanted := parseTable(t, "-A -t 192.0.2.10:80 -s sh\n-a -t 192.0.2.10:80 -r 192.0.2.30:80 -g -w 4")
	ops := ipvs.Diff(nil, actual, wanted, nil)
	if len(ops) != 2 {
		t.Fatalf("got %d operations, want 2:\n%s", len(ops), lines(ops))
	}
	if got := ops[0].WasService.Attributes() + " > " + ops[0].Service.Attributes(); got != "-s rr > -s sh" {
		t.Errorf("service edit says %q", got)
	}
	if got := ops[1].WasDestination.Attributes() + " > " + ops[1].Destination.Attributes(); got != "-m -w 1 > -g -w 4" {
		t.Errorf("destination edit says %q", got)
	}
	if ops[0].AboutDestination() || !ops[1].AboutDestination() {
		t.Error("AboutDestination confuses services and destinations")
	}
}

// A prefix length means nothing without persistence, and the kernel keeps
// whatever ipvsadm once put there.
func TestDiffIgnoresPrefixWithoutPersistence(t *testing.T) {
	key := ipvs.AddressKey(ipvs.TCP, addrPort(t, "192.0.2.10:80"))
	off := ipvs.Table{{Key: key, Scheduler: "rr", Persistence: ipvs.Persistence{PrefixLength: 24}}}
	if ops := ipvs.Diff(nil, off, ipvs.Table{{Key: key, Scheduler: "rr"}}, nil); len(ops) != 0 {
		t.Errorf("without persistence:\n%s", lines(ops))
	}
	on := ipvs.Table{{Key: key, Scheduler: "rr", Persistence: ipvs.Persistence{Timeout: 50, PrefixLength: 24}}}
	whole := ipvs.Table{{Key: key, Scheduler: "rr", Persistence: ipvs.Persistence{Timeout: 50}}}
	if got := lines(ipvs.Diff(nil, on, whole, nil)); got != "-E -t 192.0.2.10:80 -s rr -p 50\n" {
		t.Errorf("with persistence: %q", got)
	}
	full := ipvs.Table{{Key: key, Scheduler: "rr", Persistence: ipvs.Persistence{Timeout: 50, PrefixLength: 32}}}
	if ops := ipvs.Diff(nil, full, whole, nil); len(ops) != 0 {
		t.Errorf("32 bits are the whole address:\n%s", lines(ops))
	}
}

func TestDiffAppends(t *testing.T) {
	first := ipvs.Op{Verb: ipvs.DeleteService}
	ops := ipvs.Diff([]ipvs.Op{first}, nil, parseTable(t, "-A -t 192.0.2.10:80 -s rr"), nil)
	if len(ops) != 2 || ops[0].Verb != ipvs.DeleteService || ops[1].Verb != ipvs.AddService {
		t.Errorf("got %v", lines(ops))
	}
}
