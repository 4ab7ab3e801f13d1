package kerneltest

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
)

// TestIPVSRefusesWhatLinuxRefuses is the table of errors; that Linux has the same
// one is proven in the test kernel, by core/kernel/ipvsnl.
func TestIPVSRefusesWhatLinuxRefuses(t *testing.T) {
	k := NewIPVS()
	s := ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "rr"}
	d := ipvs.Destination{Address: netip.MustParseAddrPort("192.0.2.30:80"), Weight: 1}
	for _, step := range []struct {
		verb   ipvs.Verb
		weight uint32
		want   error
	}{
		{ipvs.EditService, 1, unix.ESRCH},
		{ipvs.DeleteService, 1, unix.ESRCH},
		{ipvs.AddDestination, 1, unix.ESRCH},
		{ipvs.AddService, 1, nil},
		{ipvs.AddService, 1, unix.EEXIST},
		{ipvs.EditDestination, 1, unix.ENOENT},
		{ipvs.DeleteDestination, 1, unix.ENOENT},
		{ipvs.AddDestination, ipvs.MaxWeight + 1, unix.ERANGE},
		{ipvs.AddDestination, 1, nil},
		{ipvs.AddDestination, 1, unix.EEXIST},
		{ipvs.EditDestination, 4, nil},
	} {
		d.Weight = step.weight
		if err := k.Apply(ipvs.Op{Verb: step.verb, Service: s, Destination: d}); !errors.Is(err, step.want) {
			t.Errorf("%v: %v, want %v", step.verb, err, step.want)
		}
	}
	const want = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 4\n"
	if got := k.String(); got != want {
		t.Errorf("table\n%swant\n%s", got, want)
	}
	// The log has what was done, once.
	if got := strings.Join(k.Log(), "; "); strings.Count(got, ";") != 2 || len(k.Log()) != 0 {
		t.Errorf("log %q", got)
	}
}

func TestIPVSHandsOutCopies(t *testing.T) {
	k := NewIPVS()
	s := ipvs.Service{Key: ipvs.MarkKey(1, ipvs.IPv4), Scheduler: "rr", Destinations: []ipvs.Destination{{Address: netip.MustParseAddrPort("192.0.2.30:80"), Weight: 1}}}
	k.Put(s)
	before := k.String()
	table, err := k.Dump(nil)
	if err != nil {
		t.Fatal(err)
	}
	one, _, err := k.Read(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	table[0].Destinations[0].Weight, one.Destinations[0].Weight, s.Destinations[0].Weight = 7, 8, 9
	if k.String() != before {
		t.Errorf("the table became\n%s", k)
	}
	if table, err := k.Dump(func(ipvs.ServiceKey) bool { return false }); err != nil || len(table) != 1 || len(table[0].Destinations) != 0 {
		t.Errorf("without interest: %v, %v", table, err)
	}
}

func TestIPVSOutOfReach(t *testing.T) {
	k := &IPVS{}
	if _, err := k.Dump(nil); err == nil {
		t.Error("a kernel without the module answers")
	}
	k.Load()
	k.Deny(unix.EPERM)
	if _, _, err := k.Read(ipvs.MarkKey(1, ipvs.IPv4)); !errors.Is(err, unix.EPERM) {
		t.Errorf("denied: %v", err)
	}
	k.Put(ipvs.Service{Key: ipvs.MarkKey(1, ipvs.IPv4), Scheduler: "rr"}) // Others are not denied.
	k.Deny(nil)
	k.Veto(func(*ipvs.Op) error { k.Flush(); return unix.EBUSY })
	if err := k.Apply(ipvs.Op{Verb: ipvs.DeleteService, Service: ipvs.Service{Key: ipvs.MarkKey(1, ipvs.IPv4)}}); !errors.Is(err, unix.EBUSY) {
		t.Errorf("vetoed: %v", err)
	}
	if k.String() != "" || len(k.Log()) != 0 {
		t.Errorf("the table is %q", k)
	}
}
