package bfdspeaker_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/bfdspeaker"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// keepalived is Keepalived with one bfd_instance called peer, running on a host.
type keepalived struct {
	*lab.Process
	t    testing.TB
	host *lab.Host
	dir  string
	// starts counts.
	starts int
}

// startKeepalived starts it with the lines of the instance.
func startKeepalived(t testing.TB, host *lab.Host, lines string) *keepalived {
	t.Helper()
	kerneltest.RequireTool(t, "keepalived")
	k := &keepalived{t: t, host: host, dir: t.TempDir()}
	k.write(lines)
	k.start()
	return k
}

func (k *keepalived) write(lines string) {
	k.t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, "keepalived.conf"), []byte("bfd_instance peer {\n"+lines+"}\n"), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keepalived) start() {
	k.t.Helper()
	// Other files each time: the children of one that was killed may not have
	// been reaped yet, and count as running.
	k.starts++
	file := func(name string) string { return filepath.Join(k.dir, name) }
	pid := func(name string) string { return file(fmt.Sprint(name, k.starts)) }
	k.Process = k.host.Start(kerneltest.ToolPath("keepalived"), "--dont-fork", "--no-syslog", "--log-console", "--log-detail",
		"--use-file="+file("keepalived.conf"), "--pid="+pid("parent"), "--vrrp_pid="+pid("vrrp"), "--checkers_pid="+pid("checkers"),
		"--bfd_pid="+pid("bfd"))
}

// Everything that can happen to a session, with Keepalived on the other side.
func TestLiveKeepalived(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "keepalived")
	tests := map[string]struct {
		ours    bfd.Path
		theirs  string
		change  func(c *bfd.Config)
		passive bool
	}{
		"IPv4":                   {ours: path("192.0.2.2", "", "", false), theirs: "neighbor_ip 192.0.2.1\nsource_ip 192.0.2.2\n"},
		"IPv4, we are passive":   {ours: path("192.0.2.2", "", "", false), theirs: "neighbor_ip 192.0.2.1\nsource_ip 192.0.2.2\n", passive: true},
		"IPv4, they are passive": {ours: path("192.0.2.2", "", "", false), theirs: "neighbor_ip 192.0.2.1\nsource_ip 192.0.2.2\npassive\n"},
		"IPv6":                   {ours: path("2001:db8::2", "2001:db8::1", "", false), theirs: "neighbor_ip 2001:db8::1\nsource_ip 2001:db8::2\nhoplimit 255\n"},
		// Its hop limit over IPv6 is 64 unless it is told otherwise.
		"IPv6, its defaults": {
			ours: path("2001:db8::2", "2001:db8::1", "", false), theirs: "neighbor_ip 2001:db8::1\nsource_ip 2001:db8::2\n",
			change: func(c *bfd.Config) { c.TTL = 64 },
		},
	}
	const intervals = "min_rx 40\nmin_tx 50\nmultiplier 20\n"
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			hostA, hostB := n.Host("a", "192.0.2.1/24", "2001:db8::1/64"), n.Host("b", "192.0.2.2/24", "2001:db8::2/64")
			awaitIPv6(t, hostB, "2001:db8::2")
			peer := startKeepalived(t, hostB, tt.theirs+intervals)
			us := speak(t, hostA)
			config := func(c *bfd.Config) {
				c.Passive = tt.passive
				if tt.change != nil {
					tt.change(c)
				}
			}
			us.watch(tt.ours, config)
			us.awaitState(bfd.Up)
			peer.WaitOutput("Entering Up state")
			us.await("what Keepalived wants", func(s bfdspeaker.SessionSnapshot) bool {
				return s.RemoteMinTx == 50*ms && s.RemoteMinRx == 40*ms && s.RemoteMultiplier == patient && !s.Polling &&
					s.TransmitInterval == 40*ms && s.DetectionTime == patient*50*ms
			})

			// Our reloads, whose Poll Sequences it answers: nobody goes down.
			before := us.session().Counters.Transitions
			for _, interval := range []time.Duration{120 * ms, 35 * ms, 80 * ms} {
				us.watch(tt.ours, config, func(c *bfd.Config) { c.MinTx, c.MinRx = interval, interval })
				us.await("the end of our Poll Sequence", func(s bfdspeaker.SessionSnapshot) bool {
					return !s.Polling && s.TransmitInterval == max(interval, 40*ms) && s.DetectionTime == patient*max(interval, 50*ms)
				})
			}
			if after := us.session().Counters.Transitions; after != before {
				t.Errorf("%d transitions because of reloads", after-before)
			}

			// We are held down by our operator.
			us.watch(tt.ours, config, func(c *bfd.Config) { c.Disabled = true })
			peer.WaitOutput("Entering Down state (Local diagnostic - Neighbor Signaled Session Down, Remote diagnostic - Administratively Down)")
			us.watch(tt.ours, config)
			us.awaitState(bfd.Up)

			// It hangs for a while; then it crashes and comes back.
			peer.SignalGroup(unix.SIGSTOP)
			us.await("a loss", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.Diagnostic == bfd.DiagDetectionTimeExpired
			})
			peer.SignalGroup(unix.SIGCONT)
			us.awaitState(bfd.Up)
			peer.Kill()
			us.await("a loss", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.Diagnostic == bfd.DiagDetectionTimeExpired
			})
			peer.start()
			us.awaitState(bfd.Up)
			peer.WaitOutput("Entering Up state")

			// The cable is pulled.
			hostB.Pull()
			us.awaitState(bfd.Down)
			peer.WaitOutput("Entering Down state (Local diagnostic - Control Detection Time Expired")
			hostB.Plug()
			us.awaitState(bfd.Up)

			// It ends by its own will, and says so or is missed.
			if err := peer.Terminate(); err != nil {
				t.Errorf("Keepalived ends with %v", err)
			}
			us.awaitState(bfd.Down)
		})
	}
}

// Behind a router. This Keepalived knows one port only.
func TestLiveKeepalivedThroughARouter(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "keepalived")
	left, right := lab.New(t), lab.New(t)
	hostA, hostB := left.Host("a", "192.0.2.1/24"), right.Host("b", "198.51.100.1/24")
	between(left, right)
	hostA.AddRoute("default", "192.0.2.254")
	hostB.AddRoute("default", "198.51.100.254")
	peer := startKeepalived(t, hostB, "neighbor_ip 192.0.2.1\nsource_ip 198.51.100.1\nmin_rx 50\nmin_tx 50\nmax_hops 1\n")
	us := speak(t, hostA)
	p := bfd.Path{Peer: netip.MustParseAddr("198.51.100.1"), Routed: true}
	us.watch(p)
	us.await("packets from too far", func(s bfdspeaker.SessionSnapshot) bool { return s.Counters.Dropped[bfd.DropTTL] > 2 })
	if s := us.session(); s.State != bfd.Down {
		t.Errorf("is %v", s.State)
	}
	us.watch(p, func(c *bfd.Config) { c.MaxHops = 1 })
	us.awaitState(bfd.Up)
	peer.WaitOutput("Entering Up state")
}

// We end: Keepalived is told, and goes down for that reason, long before it would
// miss us.
func TestLiveKeepalivedHearsOurEnd(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "keepalived")
	n := lab.New(t)
	hostA, hostB := n.Host("a", "192.0.2.1/24"), n.Host("b", "192.0.2.2/24")
	peer := startKeepalived(t, hostB, "neighbor_ip 192.0.2.1\nsource_ip 192.0.2.2\nmin_rx 50\nmin_tx 50\n")
	us := speak(t, hostA)
	us.watch(path("192.0.2.2", "", "", false), func(c *bfd.Config) { c.Multiplier = 200 })
	us.awaitState(bfd.Up)
	peer.WaitOutput("Entering Up state")
	us.stop()
	// 200 packets at 50 ms are ten seconds, which it does not wait for.
	peer.WaitOutput("Entering Down state (Local diagnostic - Neighbor Signaled Session Down, Remote diagnostic - Administratively Down)")
}
