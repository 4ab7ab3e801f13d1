package rawsock

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

var (
	vip4, vip6 = netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	otherMAC   = [6]byte{2, 0, 0, 0, 0x0b, 2}
)

// changed is a copy of the frame with some bytes replaced.
func changed(frame []byte, at int, with ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[at:], with)
	return frame
}

// frames are frames of all kinds, with the claim that is in them, if any.
func frames() map[string]struct {
	frame []byte
	want  claim
	ok    bool
} {
	arp := AppendGratuitousARP(nil, otherMAC, vip4.As4())
	na := AppendUnsolicitedNA(nil, otherMAC, vip6.As16(), false)
	in4, in6 := claim{vip4, otherMAC}, claim{vip6, otherMAC}
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	return map[string]struct {
		frame []byte
		want  claim
		ok    bool
	}{
		"gratuitous ARP":           {arp, in4, true},
		"with padding":             {append(slices.Clone(arp), make([]byte, 18)...), in4, true},
		"a reply":                  {changed(arp, arpOperation, 0, arpReply), in4, true},
		"a probe":                  {changed(arp, arpSenderIP, 0, 0, 0, 0), claim{}, false},
		"reverse ARP":              {changed(arp, arpOperation, 0, 3), claim{}, false},
		"ARP of other hardware":    {changed(arp, arpTypes, 0, 6), claim{}, false},
		"ARP of another protocol":  {changed(arp, arpTypes+2, 0x86, 0xdd), claim{}, false},
		"ARP with long addresses":  {changed(arp, arpLengths, 8), claim{}, false},
		"ARP cut off":              {arp[:ARPFrameSize-1], claim{}, false},
		"unsolicited NA":           {na, in6, true},
		"solicited NA":             {changed(na, naType+4, 0x60), in6, true},
		"NA without an option":     {na[:naOptions], in6, true},
		"NA with a cut option":     {na[:NAFrameSize-1], in6, true},
		"NA with an empty option":  {changed(na, naOptions+1, 0), in6, true},
		"NA with two options":      {append(append(slices.Clone(na[:naOptions]), nonce...), na[naOptions:]...), in6, true},
		"NA from another frame":    {changed(na, 6, 9, 9, 9, 9, 9, 9), in6, true},
		"solicitation":             {changed(na, naType, 135), claim{}, false},
		"NA with a code":           {changed(na, naCode, 1), claim{}, false},
		"NA through a router":      {changed(na, ipv6HopLimit, 254), claim{}, false},
		"NA of a group":            {changed(na, naTarget, 0xff), claim{}, false},
		"NA cut off":               {na[:naOptions-1], claim{}, false},
		"TCP":                      {changed(na, ipv6NextHeader, 6), claim{}, false},
		"IPv4":                     {changed(na, etherTypeOffset, 8, 0), claim{}, false},
		"nothing":                  {nil, claim{}, false},
		"no more than a frame has": {make([]byte, 14), claim{}, false},
	}
}

func parseAny(frame []byte) (claim, bool) {
	if c, ok := parseARP(frame); ok {
		return c, true
	}
	return parseNA(frame)
}

func TestParseClaims(t *testing.T) {
	for name, tt := range frames() {
		if got, ok := parseAny(tt.frame); got != tt.want && ok || ok != tt.ok {
			t.Errorf("%s: %v %v, want %v %v", name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseClaim(f *testing.F) {
	for _, tt := range frames() {
		f.Add(tt.frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if c, ok := parseAny(frame); ok && (!c.address.IsValid() || c.address.IsUnspecified() || len(frame) < ARPFrameSize) {
			t.Errorf("claim %v in % x", c, frame)
		}
	})
}

// passes runs a filter as the kernel does. The library's machine has no packet types, so
// that part is left to the test with a real one.
func passes(t *testing.T, filter []bpf.Instruction, frame []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(filter[3:])
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// The filters never drop what is to be told, and drop the rest as far as it is
// frequent.
func TestClaimFilters(t *testing.T) {
	var many []netip.Addr
	for i := range filterRoom + 1 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	for name, tt := range frames() {
		if !tt.ok {
			continue
		}
		ours, others := []netip.Addr{many[0], vip4, vip6}, many[:3]
		filter := arpFilter
		if tt.want.address.Is6() {
			filter = naFilter
		}
		if !passes(t, filter(ours), tt.frame) || !passes(t, filter(many), tt.frame) {
			t.Errorf("%s does not pass", name)
		}
		if passes(t, filter(others), tt.frame) || passes(t, filter(nil), tt.frame) {
			t.Errorf("%s passes where nobody looks for it", name)
		}
	}
	for name, frame := range map[string][]byte{"a probe": frames()["a probe"].frame, "a solicitation": frames()["solicitation"].frame} {
		if passes(t, arpFilter([]netip.Addr{vip4}), frame) || passes(t, naFilter([]netip.Addr{vip6}), frame) {
			t.Errorf("%s passes", name)
		}
	}
	if n := len(arpFilter(many[:filterRoom])); n > 4096 {
		t.Errorf("the largest filter has %d instructions", n)
	}
}

func TestConflictsAreToldOnceInAWhile(t *testing.T) {
	told := make(chan Conflict, 1000)
	w := &ConflictWatch{conflicts: told, seen: make(map[claim]*sighting)}
	start := time.Now()
	c := claim{vip4, otherMAC}
	for i := range 25 {
		w.saw(start.Add(time.Duration(i)*100*time.Millisecond), c)
	}
	var counts []int
	for len(told) > 0 {
		x := <-told
		counts = append(counts, x.Packets)
		if x.Address != vip4 || x.MAC != otherMAC {
			t.Errorf("told %+v", x)
		}
	}
	if !slices.Equal(counts, []int{1, 10, 10}) {
		t.Errorf("packets told: %v", counts)
	}
	// Who claims with ever new hardware addresses gets no more than the burst,
	// and no more memory.
	later := start.Add(time.Hour)
	for i := range 100_000 {
		w.saw(later.Add(time.Duration(i)*time.Microsecond), claim{vip4, [6]byte{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}})
		if len(w.seen) > conflictsKept {
			t.Fatalf("%d claims are remembered", len(w.seen))
		}
	}
	if len(told) != conflictBurst {
		t.Errorf("%d reports in a tenth of a second", len(told))
	}
	// Who does not listen is not waited for, and told when he does.
	full := make(chan Conflict, 1)
	w = &ConflictWatch{conflicts: full, seen: make(map[claim]*sighting)}
	w.saw(start, claim{vip6, otherMAC})
	for i := range 5 {
		w.saw(start.Add(time.Duration(i)*time.Second), c)
	}
	<-full
	w.saw(start.Add(10*time.Second), c)
	if x := <-full; x.Packets != 6 {
		t.Errorf("%d packets told", x.Packets)
	}
}

func openWatch(t *testing.T, n *kerneltest.Namespace, link string, conflicts chan<- Conflict) *ConflictWatch {
	t.Helper()
	var w *ConflictWatch
	if err := n.Do(func() (err error) {
		w, err = OpenConflictWatch(link, conflicts)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func hear(t *testing.T, conflicts <-chan Conflict) Conflict {
	t.Helper()
	select {
	case c := <-conflicts:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("no conflict is told")
		return Conflict{}
	}
}

// station sends frames as they are.
type station struct {
	fd, index int
}

func newStation(t *testing.T, n *kerneltest.Namespace, link string) station {
	t.Helper()
	s := station{fd: -1, index: n.Index(link)}
	if err := n.Do(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(s.fd) })
	return s
}

func (s station) send(t *testing.T, frame []byte) {
	t.Helper()
	if err := unix.Sendto(s.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: s.index}); err != nil {
		t.Fatal(err)
	}
}

// On a real link: whoever else claims an address is told; the machine's own
// announcements and addresses are not, nor what nobody asked for.
func TestConflictWatch(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	told := make(chan Conflict, 100)
	w := openWatch(t, a, "eth0", told)
	index, ours := a.Index("eth0"), [6]byte(a.MAC("eth0"))
	virtual := [6]byte{0, 0, 0x5e, 0, 1, 51}
	peer, self := newStation(t, b, "eth0"), newStation(t, a, "eth0")

	// Off, and before that never on.
	peer.send(t, AppendGratuitousARP(nil, otherMAC, vip4.As4()))
	if err := w.Watch(Watched{Index: index, Own: [][6]byte{virtual}, Addresses: []netip.Addr{vip4, vip6}}); err != nil {
		t.Fatal(err)
	}
	last := netip.MustParseAddr("192.0.2.99")
	for _, frame := range [][]byte{
		AppendGratuitousARP(nil, ours, vip4.As4()), // reflected by the network
		AppendGratuitousARP(nil, virtual, vip4.As4()),
		AppendUnsolicitedNA(nil, virtual, vip6.As16(), true),
		AppendGratuitousARP(nil, otherMAC, last.As4()), // nobody's business
		// In VLAN 7 of the link.
		slices.Concat(AppendGratuitousARP(nil, otherMAC, vip4.As4())[:12], []byte{0x81, 0, 0, 7}, AppendGratuitousARP(nil, otherMAC, vip4.As4())[12:]),
	} {
		peer.send(t, frame)
	}
	self.send(t, AppendGratuitousARP(nil, otherMAC, vip4.As4())) // what leaves here
	peer.send(t, AppendUnsolicitedNA(nil, otherMAC, vip6.As16(), false))
	if c := hear(t, told); c.Address != vip6 || c.MAC != otherMAC || c.Packets != 1 {
		t.Errorf("told %+v", c)
	}
	// Behind the last of them, so that one told too much would be there first.
	third := [6]byte{2, 0, 0, 0, 0x0c, 3}
	peer.send(t, AppendGratuitousARP(nil, third, vip4.As4()))
	if c := hear(t, told); c.Address != vip4 || c.MAC != third || c.Packets != 1 {
		t.Errorf("told %+v", c)
	}
	select {
	case c := <-told:
		t.Errorf("told also %+v", c)
	default:
	}

	// Another set, at once.
	if err := w.Watch(Watched{Index: index, Addresses: []netip.Addr{last}}); err != nil {
		t.Fatal(err)
	}
	peer.send(t, AppendGratuitousARP(nil, [6]byte{2, 1, 1, 1, 1, 1}, vip4.As4()))
	peer.send(t, AppendGratuitousARP(nil, otherMAC, last.As4()))
	if c := hear(t, told); c.Address != last {
		t.Errorf("told %+v", c)
	}

	// The link goes down and up, and is deleted and made again.
	a.SetDown("eth0")
	a.SetUp("eth0")
	a.AwaitCarrier("eth0")
	b.AwaitCarrier("eth0")
	peer.send(t, AppendGratuitousARP(nil, third, last.As4()))
	if c := hear(t, told); c.MAC != third {
		t.Errorf("told %+v", c)
	}
	a.DeleteLink("eth0")
	if err := w.Watch(Watched{Index: index, Addresses: []netip.Addr{last}}); err == nil {
		t.Error("watches a link that is gone")
	}
	kerneltest.Veth(a, "eth0", b, "eth0")
	if err := w.Watch(Watched{Index: a.Index("eth0"), Addresses: []netip.Addr{vip6, last}}); err != nil {
		t.Fatal(err)
	}
	newStation(t, b, "eth0").send(t, AppendUnsolicitedNA(nil, third, vip6.As16(), false))
	if c := hear(t, told); c.Address != vip6 || c.MAC != third {
		t.Errorf("told %+v", c)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// A real host that takes an address which is in use is noticed, by the packets
// that its own kernel sends.
func TestConflictWithARealHost(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	told := make(chan Conflict, 100)
	w := openWatch(t, a, "eth0", told)
	if err := w.Watch(Watched{Index: a.Index("eth0"), Addresses: []netip.Addr{vip4}}); err != nil {
		t.Fatal(err)
	}
	a.AddAddress("eth0", "192.0.2.1/24")
	b.AddAddress("eth0", "192.0.2.10/24")
	b.LearnNeighbour("192.0.2.77")
	if c := hear(t, told); c.Address != vip4 || c.MAC != [6]byte(b.MAC("eth0")) {
		t.Errorf("told %+v", c)
	}
}
