package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// A number in a file is multiplied with the weight, whoever writes it and however.
func TestTrackedFile(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	path := filepath.Join(t.TempDir(), "sub", "weight")
	a := s.a.Halo(trackedConfig(130, "track = [\"load\"]\n[tracker.load]\ntype = \"file\"\nweight = -2\npath = \""+path+"\"\n"))
	s.b.Halo(trackedConfig(100, ""))
	s.outside.WaitOwner(vip, s.a) // There is not even a directory.
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		write("20\n")
		effect := -40
		waitTracker(t, a, "load", "up", &effect)
		s.outside.WaitOwner(vip, s.b)
		write("0\n")
		waitTracker(t, a, "load", "up", nil)
		s.outside.WaitOwner(vip, s.a)
	}
	write("500\n") // Beyond -254 the machine is of no use at all.
	a.WaitState(t, "VI_1", "fault")
	s.outside.WaitOwner(vip, s.b)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.outside.WaitOwner(vip, s.a)
}

// A program that does not run any more takes the addresses along.
func TestTrackedProcess(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	program := filepath.Join(t.TempDir(), "tracked-daemon")
	if err := os.Symlink("/bin/sleep", program); err != nil {
		t.Fatal(err)
	}
	a := s.a.Halo(trackedConfig(130, fmt.Sprintf("track = [\"daemon\"]\n[tracker.daemon]\ntype = \"process\"\nprocess = %q\narguments = [\"3600\"]\n", program)))
	s.b.Halo(trackedConfig(100, ""))
	waitTracker(t, a, "daemon", "down", new(int))
	s.outside.WaitOwner(vip, s.b)
	for range 3 {
		other := s.a.Start(program, "1800") // Not with these arguments.
		p := s.a.Start(program, "3600")
		waitTracker(t, a, "daemon", "up", nil)
		s.outside.WaitOwner(vip, s.a)
		p.Kill()
		a.WaitState(t, "VI_1", "fault")
		s.outside.WaitOwner(vip, s.b)
		other.Kill()
	}
}

// A path that BFD watches: what it carries is lost long before any timer of the
// routers would tell.
func TestTrackedBFD(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	session := func(neighbor, source string) string {
		return fmt.Sprintf(`track = ["path"]

[tracker.path]
type           = "bfd"
neighbor       = %q
source_address = %q
interface      = "eth1"
min_tx         = "100ms"
min_rx         = "100ms"
weight         = -60
`, neighbor, source)
	}
	a := s.a.Halo(trackedConfig(130, session("198.51.100.2", "198.51.100.1")))
	b := s.b.Halo(trackedConfig(100, session("198.51.100.1", "198.51.100.2")))
	waitTracker(t, a, "path", "up", nil)
	waitTracker(t, b, "path", "up", nil)
	s.outside.WaitOwner(vip, s.a)
	before := a.Status(t).VRRPInstances["VI_1"].Since
	// A reload of its terms does not interrupt the session, and moves nothing.
	a.MustReload(t, strings.ReplaceAll(trackedConfig(130, session("198.51.100.2", "198.51.100.1")), "100ms", "150ms"))
	waitTracker(t, a, "path", "up", nil)
	s.inside.SetDown(s.aInside)
	effect := -60
	waitTracker(t, a, "path", "down", &effect)
	waitTracker(t, b, "path", "down", &effect)
	s.inside.SetUp(s.aInside)
	waitTracker(t, a, "path", "up", nil)
	waitTracker(t, b, "path", "up", nil)
	// Both lost the same path, so the better one stayed the better one.
	if after := a.Status(t).VRRPInstances["VI_1"].Since; after != before {
		t.Errorf("the addresses moved: active since %v, before %v", after, before)
	}
	// The other side's end is announced, which says nothing about the path.
	if err := b.Terminate(); err != nil {
		t.Fatal(err)
	}
	waitTracker(t, a, "path", "unknown", nil)
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

// Where a link that is down is ignored, whoever sees it is active: on a cable
// between two machines it goes down with the other one. When it is back, one is
// left. A reload makes it a fault.
func TestIgnoredLink(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	config := func(priority int, ignore bool) string {
		return trackedConfig(priority, fmt.Sprintf("ignore_link_down  = %t\n", ignore))
	}
	better, worse := a.Halo(config(150, true)), b.Halo(config(100, true))
	n.WaitOwner(vip, a)
	worse.WaitState(t, "VI_1", "backup")
	for _, cable := range []struct{ pull, plug func() }{
		{b.Pull, b.Plug},
		{func() { b.SetDown("eth0") }, func() { b.SetUp("eth0") }},
	} {
		cable.pull()
		worse.WaitState(t, "VI_1", "active")
		better.WaitState(t, "VI_1", "active")
		lab.Eventually(t, "both have the address", func() bool { return a.HasAddress("eth0", vip) && b.HasAddress("eth0", vip) })
		cable.plug()
		worse.WaitState(t, "VI_1", "backup")
		n.WaitOwner(vip, a)
	}
	b.Pull()
	worse.WaitState(t, "VI_1", "active")
	worse.MustReload(t, config(100, false))
	worse.WaitState(t, "VI_1", "fault")
	n.WaitOwner(vip, a)
	for h, least := range map[*lab.Halo]int{better: 0, worse: 3} {
		if entered := strings.Count(h.Output(), `"to":"active"`); entered < least || h == better && entered != 1 {
			t.Errorf("active %d times", entered)
		}
	}
}
