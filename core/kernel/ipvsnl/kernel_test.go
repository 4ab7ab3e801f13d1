package ipvsnl_test

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/ipvsnl"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// realTable is the table of a namespace of the test's own, with two ways to look
// at it: the Handle under test and ipvsadm.
type realTable struct {
	t         *testing.T
	namespace *kerneltest.Namespace
	handle    *ipvsnl.Handle
}

func newRealTable(t *testing.T) *realTable {
	t.Helper()
	kerneltest.RequireIPVS(t)
	kerneltest.RequireTool(t, "ipvsadm")
	r := &realTable{t: t, namespace: kerneltest.NewNamespace(t, "ipvsnl")}
	err := r.namespace.Do(func() (err error) {
		r.handle, err = ipvsnl.Open()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.handle.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *realTable) ipvsadm(args ...string) string {
	r.t.Helper()
	out, err := r.namespace.Output("ipvsadm", args...)
	if err != nil {
		r.t.Fatalf("ipvsadm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// saved is the table as ipvsadm saves it, in our order. ipvsadm writes the tunnel
// type, of which there is one here, and not the thresholds.
func (r *realTable) saved() string {
	r.t.Helper()
	text := strings.ReplaceAll(r.ipvsadm("-S", "-n"), " --tun-type ipip", "")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func sortedLines(t ipvs.Table) string {
	t = t.Clone()
	for _, s := range t {
		for i := range s.Destinations {
			s.Destinations[i].UpperThreshold, s.Destinations[i].LowerThreshold = 0, 0
		}
	}
	lines := strings.Split(strings.TrimSpace(t.String()), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (r *realTable) dump() ipvs.Table {
	r.t.Helper()
	t, err := r.handle.Dump(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

func (r *realTable) apply(ops ...ipvs.Op) {
	r.t.Helper()
	for _, op := range ops {
		if err := r.handle.Apply(op); err != nil {
			r.t.Fatalf("%s: %v", op.String(), err)
		}
	}
}

// become turns the kernel's table into t and checks it with both eyes.
func (r *realTable) become(want ipvs.Table) {
	r.t.Helper()
	want.Sort()
	everything := func(ipvs.ServiceKey) bool { return true }
	r.apply(ipvs.Diff(nil, r.dump(), want, everything)...)
	got := r.dump()
	if d := cmp.Diff(want.String(), got.String()); d != "" {
		r.t.Errorf("the kernel has (-want +got):\n%s", d)
	}
	if d := cmp.Diff(sortedLines(want), r.saved()); d != "" {
		r.t.Errorf("ipvsadm sees (-want +got):\n%s", d)
	}
	if ops := ipvs.Diff(nil, got, want, everything); len(ops) != 0 {
		r.t.Errorf("still to do: %v", ops)
	}
	for _, s := range want {
		one, ok, err := r.handle.Read(s.Key)
		if err != nil || !ok || !one.Equal(&s) {
			r.t.Errorf("read %v: %v, %v, %v", s.Key, one, ok, err)
		}
	}
}

func address(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

func TestKernelTakesEveryTable(t *testing.T) {
	r := newRealTable(t)
	tcp := ipvs.AddressKey(ipvs.TCP, address("192.0.2.10:80"))
	udp := ipvs.AddressKey(ipvs.UDP, address("192.0.2.10:53"))
	six := ipvs.AddressKey(ipvs.SCTP, address("[2001:db8::10]:80"))
	servers := func(weights ...uint32) (d []ipvs.Destination) {
		for i, w := range weights {
			d = append(d, ipvs.Destination{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(30 + i)}), 80), Weight: w})
		}
		return d
	}
	r.become(nil)
	t.Log("a service without servers")
	r.become(ipvs.Table{{Key: tcp, Scheduler: "rr"}})
	t.Log("servers, and everything about them and the service edited in place")
	r.become(ipvs.Table{{Key: tcp, Scheduler: "rr", Destinations: servers(1, 2, 0)}})
	edited := ipvs.Service{Key: tcp, Scheduler: "sh", Flags: ipvs.SchedulerFlag1 | ipvs.SchedulerFlag2, Persistence: ipvs.Persistence{Timeout: 50}, Destinations: servers(0, ipvs.MaxWeight, 7)}
	edited.Destinations[0].Forwarding = ipvs.DirectRoute
	edited.Destinations[1].Forwarding = ipvs.Tunnel
	edited.Destinations[2].UpperThreshold, edited.Destinations[2].LowerThreshold = 90, 10
	r.become(ipvs.Table{edited})
	t.Log("clients grouped by network, then not, then no persistence")
	edited.Persistence.PrefixLength = 20
	r.become(ipvs.Table{edited})
	edited.Persistence.PrefixLength = 0
	r.become(ipvs.Table{edited})
	edited.Persistence = ipvs.Persistence{}
	edited.Flags = 0
	r.become(ipvs.Table{edited})
	t.Log("all kinds of services at once")
	r.become(ipvs.Table{
		edited,
		{Key: udp, Scheduler: "wrr", Flags: ipvs.OnePacket, Destinations: servers(3)},
		{Key: six, Scheduler: "mh", Flags: ipvs.SchedulerFlag2, Persistence: ipvs.Persistence{Timeout: 300, PrefixLength: 64}, Destinations: []ipvs.Destination{{Address: address("[2001:db8::20]:80"), Weight: 1}}},
		{Key: ipvs.MarkKey(10, ipvs.IPv4), Scheduler: "wlc", Destinations: servers(1)},
		{Key: ipvs.MarkKey(10, ipvs.IPv6), Scheduler: "wlc"},
	})
	t.Log("and gone")
	r.become(nil)
}

// A kernel may be built without one or the other scheduler, and says so in words
// that help; none may be missing because its name is wrong here.
func TestKernelHasEveryScheduler(t *testing.T) {
	r := newRealTable(t)
	var table ipvs.Table
	for i, name := range ipvs.Schedulers() {
		s := ipvs.Service{Key: ipvs.MarkKey(uint32(i+1), ipvs.IPv4), Scheduler: name}
		if _, err := os.Stat("/sys/module/ip_vs_" + name); err != nil && name == "twos" {
			err := r.handle.Apply(ipvs.Op{Verb: ipvs.AddService, Service: s})
			if err == nil || !strings.Contains(err.Error(), `load it with "modprobe ip_vs_twos"`) {
				t.Errorf("a scheduler that the kernel lacks: %v", err)
			}
			t.Logf("this kernel is built without %s", name)
			continue
		}
		table = append(table, s)
	}
	r.become(table)
	// In place, from each to the next.
	first := table[0].Scheduler
	for i := range table[:len(table)-1] {
		table[i].Scheduler = table[i+1].Scheduler
	}
	table[len(table)-1].Scheduler = first
	r.become(table)
}

// A table that others left is read as it is, with what halo would never write.
func TestKernelHasWhatOthersWrote(t *testing.T) {
	r := newRealTable(t)
	r.ipvsadm("-A", "-t", "192.0.2.10:80", "-s", "wlc", "-p", "360", "-M", "0.0.0.0")
	r.ipvsadm("-a", "-t", "192.0.2.10:80", "-r", "127.0.0.1:80", "-g", "-w", "5")
	key := ipvs.AddressKey(ipvs.TCP, address("192.0.2.10:80"))
	wanted := ipvs.Table{{Key: key, Scheduler: "wlc", Persistence: ipvs.Persistence{Timeout: 360}, Destinations: []ipvs.Destination{
		{Address: address("127.0.0.1:80"), Forwarding: ipvs.DirectRoute, Weight: 5},
	}}}
	ops := ipvs.Diff(nil, r.dump(), wanted, nil)
	if len(ops) != 1 || ops[0].Verb != ipvs.EditService {
		t.Fatalf("only the mask differs, but: %v", ops)
	}
	r.become(wanted)
}

func TestKernelDumpsOnlyWhatIsOfInterest(t *testing.T) {
	r := newRealTable(t)
	a, b := ipvs.MarkKey(1, ipvs.IPv4), ipvs.MarkKey(2, ipvs.IPv4)
	server := []ipvs.Destination{{Address: address("192.0.2.30:80"), Weight: 1}}
	r.become(ipvs.Table{{Key: a, Scheduler: "rr", Destinations: server}, {Key: b, Scheduler: "rr", Destinations: server}})
	table, err := r.handle.Dump(func(k ipvs.ServiceKey) bool { return k == b })
	if err != nil || len(table) != 2 || len(table[0].Destinations) != 0 || len(table[1].Destinations) != 1 {
		t.Errorf("got %v, %v", table, err)
	}
	if _, ok, err := r.handle.Read(ipvs.MarkKey(3, ipvs.IPv4)); ok || err != nil {
		t.Errorf("read of nothing: %v, %v", ok, err)
	}
}

func TestKernelAnswers(t *testing.T) {
	r := newRealTable(t)
	s := ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, address("192.0.2.10:80")), Scheduler: "rr"}
	d := ipvs.Destination{Address: address("192.0.2.30:80"), Weight: 1}
	do := func(v ipvs.Verb) error { return r.handle.Apply(ipvs.Op{Verb: v, Service: s, Destination: d}) }
	expect := func(v ipvs.Verb, is error, text string) {
		t.Helper()
		if err := do(v); !errors.Is(err, is) || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v", v, err)
		}
	}
	expect(ipvs.EditService, ipvs.ErrNotFound, "edit service tcp:192.0.2.10:80: service not found")
	expect(ipvs.DeleteService, ipvs.ErrNotFound, "service not found")
	expect(ipvs.AddDestination, ipvs.ErrNotFound, "service not found")
	expect(ipvs.EditDestination, ipvs.ErrNotFound, "service not found")
	expect(ipvs.DeleteDestination, ipvs.ErrNotFound, "service not found")
	expect(ipvs.AddService, nil, "")
	expect(ipvs.AddService, ipvs.ErrExists, "already exists")
	expect(ipvs.EditDestination, ipvs.ErrNotFound, "destination not found")
	expect(ipvs.DeleteDestination, ipvs.ErrNotFound, "destination not found")
	expect(ipvs.AddDestination, nil, "")
	expect(ipvs.AddDestination, ipvs.ErrExists, "already exists")
	d.Weight = ipvs.MaxWeight + 1
	expect(ipvs.EditDestination, unix.ERANGE, "edit destination tcp:192.0.2.10:80 192.0.2.30:80: ")
	s.Scheduler = "none_such"
	for _, v := range []ipvs.Verb{ipvs.EditService, ipvs.AddService} {
		s.Key.Address = map[ipvs.Verb]netip.AddrPort{ipvs.EditService: address("192.0.2.10:80"), ipvs.AddService: address("192.0.2.11:80")}[v]
		if err := do(v); err == nil || !strings.Contains(err.Error(), `the kernel has no scheduler "none_such": load it with "modprobe ip_vs_none_such"`) {
			t.Errorf("%v: %v", v, err)
		}
	}
}

// TestKernelAgreesWithMemory plays random differences against the kernel and the
// in-memory one: what kerneltest.IPVS accepts and shows, Linux does.
func TestKernelAgreesWithMemory(t *testing.T) {
	r := newRealTable(t)
	memory := kerneltest.NewIPVS()
	rapid.Check(t, func(rt *rapid.T) {
		op := ipvs.Op{
			Verb: ipvs.Verb(rapid.IntRange(1, 6).Draw(rt, "verb")),
			Service: ipvs.Service{
				Key:         ipvs.MarkKey(rapid.Uint32Range(1, 3).Draw(rt, "mark"), ipvs.IPv4),
				Scheduler:   rapid.SampledFrom([]string{"rr", "sh", "mh"}).Draw(rt, "scheduler"),
				Flags:       ipvs.Flags(rapid.Uint8Range(0, 15).Draw(rt, "flags")) &^ ipvs.OnePacket,
				Persistence: ipvs.Persistence{Timeout: rapid.Uint32Range(0, 2).Draw(rt, "timeout")},
			},
		}
		if op.AboutDestination() {
			op.Destination = ipvs.Destination{
				Address:        netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 3).Draw(rt, "server"))}), 80),
				Forwarding:     rapid.SampledFrom([]ipvs.Forwarding{ipvs.Masquerade, ipvs.DirectRoute, ipvs.Tunnel}).Draw(rt, "forward"),
				Weight:         rapid.Uint32Range(0, 3).Draw(rt, "weight"),
				UpperThreshold: rapid.Uint32Range(0, 3).Draw(rt, "upper"),
				LowerThreshold: rapid.Uint32Range(0, 3).Draw(rt, "lower"),
			}
		}
		linux, model := r.handle.Apply(op), memory.Apply(op)
		for _, is := range []error{nil, ipvs.ErrExists, ipvs.ErrNotFound, unix.ERANGE} {
			if errors.Is(linux, is) != errors.Is(model, is) {
				rt.Fatalf("%s: Linux answers %v, the model %v", op.String(), linux, model)
			}
		}
		want, err := memory.Dump(nil)
		if err != nil {
			rt.Fatal(err)
		}
		if got := r.dump(); !got.Equal(want) {
			rt.Fatalf("after %s Linux has\n%sand the model\n%s", op.String(), got, want)
		}
	})
}

// bigTable is 1,000 services with 10 destinations each.
func bigTable() ipvs.Table {
	table := make(ipvs.Table, 0, 1000)
	for i := range 1000 {
		s := ipvs.Service{
			Key:       ipvs.AddressKey(ipvs.TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80)),
			Scheduler: "wrr",
		}
		for j := range 10 {
			s.Destinations = append(s.Destinations, ipvs.Destination{
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(j)}), 80), Weight: 1,
			})
		}
		table = append(table, s)
	}
	table.Sort()
	return table
}

// The netlink dump of a big table comes in many messages; all of it must arrive.
func TestKernelBigTable(t *testing.T) {
	r := newRealTable(t)
	r.apply(ipvs.Diff(nil, nil, bigTable(), nil)...)
	if got := r.dump(); !got.Equal(bigTable()) {
		t.Errorf("%d services came back", len(got))
	}
}

func BenchmarkDump(b *testing.B) {
	kerneltest.RequireIPVS(b)
	n := kerneltest.NewNamespace(b, "ipvsnl")
	var h *ipvsnl.Handle
	if err := n.Do(func() (err error) { h, err = ipvsnl.Open(); return err }); err != nil {
		b.Fatal(err)
	}
	for _, op := range ipvs.Diff(nil, nil, bigTable(), nil) {
		if err := h.Apply(op); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Dump(nil); err != nil {
			b.Fatal(err)
		}
	}
}
