package daemon

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/config"
)

// full is a generation that uses everything.
func full() *config.Generation {
	return &config.Generation{
		Global:    config.Global{PluginUser: "halo"},
		Instances: map[string]*config.Instance{"VI_1": {Name: "VI_1"}},
		VirtualServers: map[string]*config.VirtualServer{"web": {Servers: []*config.RealServer{
			{Address: netip.MustParseAddrPort("192.0.2.30:80"), Checks: []*config.Check{{Type: "tcp"}}},
		}}},
	}
}

func names(list []capability) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = c.name
	}
	return out
}

func TestNeededFollowsTheConfiguration(t *testing.T) {
	g := full()
	if got, want := names(needed(g)), []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_CHOWN"}; !slices.Equal(got, want) {
		t.Errorf("everything needs %q, want %q", got, want)
	}
	g.VirtualServers["web"].Servers[0].Checks = nil
	if got, want := names(needed(g)), []string{"CAP_NET_ADMIN", "CAP_NET_RAW"}; !slices.Equal(got, want) {
		t.Errorf("without checks %q, want %q", got, want)
	}
	g.Instances = nil
	if got, want := names(needed(g)), []string{"CAP_NET_ADMIN"}; !slices.Equal(got, want) {
		t.Errorf("without instances %q, want %q", got, want)
	}
	g.VirtualServers = nil
	g.Static.Addresses = make([]config.Address, 1)
	if got, want := names(needed(g)), []string{"CAP_NET_ADMIN"}; !slices.Equal(got, want) {
		t.Errorf("with what is static alone %q, want %q", got, want)
	}
	g.Static = config.Static{}
	if got := needed(g); len(got) != 0 {
		t.Errorf("an empty configuration needs %q, want nothing", names(got))
	}
}

func TestMissingPrivilegeIsNamed(t *testing.T) {
	all := uint64(1)<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL | 1<<unix.CAP_CHOWN
	if err := privilegeError(missing(needed(full()), all)); err != nil {
		t.Errorf("with everything: %v", err)
	}
	// Without the soft ones halo runs, degraded.
	if err := privilegeError(missing(needed(full()), 1<<unix.CAP_NET_ADMIN|1<<unix.CAP_NET_RAW)); err != nil {
		t.Errorf("without the soft ones: %v", err)
	}
	err := privilegeError(missing(needed(full()), all&^(1<<unix.CAP_NET_RAW)))
	if err == nil {
		t.Fatal("CAP_NET_RAW is missing and nothing is said")
	}
	for _, part := range []string{"CAP_NET_RAW", "gratuitous ARP", "AmbientCapabilities=CAP_NET_RAW", "halo.service"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("%q names what is not missing", err)
	}
}

func TestEffectiveCapabilities(t *testing.T) {
	got, err := effectiveCapabilities()
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:\t"); ok {
			var want uint64
			for _, digit := range strings.TrimSpace(hex) {
				want = want<<4 | uint64(strings.IndexRune("0123456789abcdef", digit))
			}
			if got != want {
				t.Errorf("effective capabilities %x, the kernel says %x", got, want)
			}
		}
	}
}

// TestUnitGrantsWhatIsNeeded proves that the systemd unit has exactly the
// privileges that this package asks for.
func TestUnitGrantsWhatIsNeeded(t *testing.T) {
	unit, err := os.ReadFile("../../contrib/systemd/halo.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(unit)) {
		if set, ok := strings.CutPrefix(line, "CapabilityBoundingSet="); ok {
			got, want := strings.Fields(set), names(needed(full()))
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("the unit grants %q, needed are %q", got, want)
			}
			return
		}
	}
	t.Error("the unit has no CapabilityBoundingSet")
}
