package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// twoSided are two machines on an outside network (eth0) and an inside one (eth1).
type twoSided struct {
	outside, inside *lab.Network
	a, b            *lab.Host
	// aInside is the switch's end of a's cable inside.
	aInside string
}

const insideVIP = "198.51.100.10"

func newTwoSided(t *testing.T) *twoSided {
	t.Helper()
	s := &twoSided{outside: lab.New(t), inside: lab.New(t)}
	s.a, s.b = s.outside.Host("a", aSource+"/24"), s.outside.Host("b", bSource+"/24")
	s.aInside = s.inside.Attach(s.a.Namespace, "eth1", "198.51.100.1/24")
	s.inside.Attach(s.b.Namespace, "eth1", "198.51.100.2/24")
	return s
}

func trackedConfig(priority int, more string) string {
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = "500ms"
addresses         = ["%s/24"]
%s`, priority, vip, more)
}

// waitTracker waits until a tracker is in a state and has that effect on VI_1;
// nil is none.
func waitTracker(t *testing.T, h *lab.Halo, name, state string, effect *int) {
	t.Helper()
	var last control.Tracker
	lab.Eventually(t, fmt.Sprintf("tracker %s is %s", name, state), func() bool {
		last = h.Status(t).Trackers[name]
		n, moves := last.Instances["VI_1"]
		return last.State == state && moves == (effect != nil) && (effect == nil || n == *effect)
	})
}

// What a router depends on moves its priority, and with that the addresses, and
// back again when it is there again.
func TestTrackers(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		// lose and restore are done to a; the rest is what follows from the one
		// and stays away after the other.
		lose, restore func(t *testing.T, s *twoSided)
		effect        int
		state         string
	}{
		"an interface with a weight": {
			config: "track = [\"uplink\"]\n[tracker.uplink]\ntype = \"interface\"\ninterface = \"eth1\"\nweight = -60\n",
			lose:   func(_ *testing.T, s *twoSided) { s.inside.SetDown(s.aInside) }, restore: func(_ *testing.T, s *twoSided) { s.inside.SetUp(s.aInside) },
			effect: -60, state: "backup",
		},
		"an interface that has to be up": {
			config: "track_interfaces = [\"eth1\"]\n",
			lose:   func(_ *testing.T, s *twoSided) { s.inside.SetDown(s.aInside) }, restore: func(_ *testing.T, s *twoSided) { s.inside.SetUp(s.aInside) },
			effect: 0, state: "fault",
		},
		"an address that adds while it is there": {
			config:  "track = [{ tracker = \"uplink\", weight = 60 }]\n[tracker.uplink]\ntype = \"address\"\naddress = \"203.0.113.7\"\ninterface = \"eth1\"\n",
			lose:    func(_ *testing.T, s *twoSided) { s.a.DelAddress("eth1", "203.0.113.7/32") },
			restore: func(_ *testing.T, s *twoSided) { s.a.AddAddress("eth1", "203.0.113.7/32") },
			effect:  60, state: "backup",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTwoSided(t)
			tracker, priority, whole := "uplink", 130, (*int)(nil)
			switch tc.effect {
			case 0:
				tracker = "interface eth1"
			case 60:
				priority, whole = 80, &tc.effect
				tc.restore(t, s)
			}
			a, b := s.a.Halo(trackedConfig(priority, tc.config)), s.b.Halo(trackedConfig(100, ""))
			s.outside.WaitOwner(vip, s.a)
			waitTracker(t, a, tracker, "up", whole)
			tc.lose(t, s)
			effect := &tc.effect
			if whole != nil {
				effect = nil
			}
			waitTracker(t, a, tracker, "down", effect)
			s.outside.WaitOwner(vip, s.b)
			a.WaitState(t, "VI_1", tc.state)
			b.WaitState(t, "VI_1", "active")
			tc.restore(t, s)
			s.outside.WaitOwner(vip, s.a)
			waitTracker(t, a, tracker, "up", whole)
		})
	}
}

// A balancer that sees no server leaves to one that does, without any script.
func TestTrackedService(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	var server net.Listener
	listen := func() {
		t.Helper()
		if err := s.a.Do(func() (err error) {
			server, err = net.Listen("tcp", "198.51.100.1:8080") //nolint:noctx // It is there at once.
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	listen()
	a := s.a.Halo(trackedConfig(130, `track = ["quorum"]

[tracker.quorum]
type           = "service"
virtual_server = "web"
weight         = -60

[virtual_server.web]
address     = "192.0.2.10:80"
check       = [{ type = "tcp", interval = "100ms", retry_interval = "100ms" }]
real_server = [{ address = "198.51.100.1:8080" }]
`))
	s.b.Halo(trackedConfig(100, ""))
	waitTracker(t, a, "quorum", "up", nil)
	s.outside.WaitOwner(vip, s.a)
	_ = server.Close()
	effect := -60
	waitTracker(t, a, "quorum", "down", &effect)
	s.outside.WaitOwner(vip, s.b)
	listen()
	defer server.Close()
	waitTracker(t, a, "quorum", "up", nil)
	s.outside.WaitOwner(vip, s.a)

	// A reload that stops tracking gives the priority back at once, and one that
	// tracks again knows what is known of the service.
	_ = server.Close()
	s.outside.WaitOwner(vip, s.b)
	a.MustReload(t, trackedConfig(130, ""))
	s.outside.WaitOwner(vip, s.a)
}

// R28: what only listens takes nothing over, for as long as it was told to.
func TestStartupDelay(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	host := n.Host("a", aSource+"/24")
	h := host.Halo(trackedConfig(100, "preempt = false\n"), lab.Global(`startup_delay = "1h"`))
	h.WaitState(t, "VI_1", "backup")
	time.Sleep(2 * downInterval(500*time.Millisecond)) // What must not happen needs time to.
	if owners := n.Owners(vip); len(owners) != 0 {
		t.Errorf("%s is on %q", vip, owners)
	}
	h.WaitState(t, "VI_1", "backup")
}
