package bfdspeaker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/bfdspeaker"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// bfdd is FRR's BFD daemon as the distribution installs it.
const bfdd = "/usr/lib/frr/bfdd"

// frr is FRR's bfdd running on a host, without the rest of FRR.
type frr struct {
	*lab.Process
	t    testing.TB
	host *lab.Host
	dir  string
}

// startFRR starts bfdd with the lines of its bfd block.
func startFRR(t testing.TB, host *lab.Host, block string) *frr {
	t.Helper()
	kerneltest.RequireTool(t, bfdd)
	kerneltest.RequireTool(t, "vtysh")
	dir, err := os.MkdirTemp("", "halo-frr-") //nolint:usetesting // Nobody but root gets into t.TempDir.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	// It drops root for a user of its own, and wants its files to be that one's.
	account, err := user.Lookup("frr")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	config := filepath.Join(dir, "bfdd.conf")
	if err := os.WriteFile(config, []byte("bfd\n"+block+"exit\n"), 0o600); err != nil || uidErr != nil || gidErr != nil {
		t.Fatal(err, uidErr, gidErr)
	}
	for _, name := range []string{dir, config} {
		if err := os.Chown(name, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	f := &frr{t: t, host: host, dir: dir}
	f.start()
	return f
}

func (f *frr) start() {
	f.t.Helper()
	f.Process = f.host.Start(bfdd, "-f", f.dir+"/bfdd.conf", "-u", "frr", "-g", "frr", "--vty_socket", f.dir, "-i", f.dir+"/pid",
		"-z", f.dir+"/zebra", "--bfdctl", f.dir+"/control", "--log", "stdout", "-P", "0")
}

// say gives the daemon commands and returns its answer.
func (f *frr) say(commands ...string) (string, error) {
	args := make([]string, 0, 4+2*len(commands))
	args = append(args, "--vty_socket", f.dir, "-d", "bfdd")
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return f.host.Output("vtysh", args...)
}

// configure changes the peer, which is named as in the configuration.
func (f *frr) configure(peer string, lines ...string) {
	f.t.Helper()
	if out, err := f.say(append([]string{"configure terminal", "bfd", peer}, lines...)...); err != nil || strings.Contains(out, "%") {
		f.t.Fatalf("%v: %v: %s", lines, err, out)
	}
}

// frrPeer is what bfdd says of its one session.
type frrPeer struct {
	Status           string `json:"status"`
	Diagnostic       string `json:"diagnostic"`
	RemoteDiagnostic string `json:"remote-diagnostic"`
	RemoteID         uint32 `json:"remote-id"`
	ID               uint32 `json:"id"`
	RemoteReceive    int    `json:"remote-receive-interval"`
	RemoteTransmit   int    `json:"remote-transmit-interval"`
	RemoteEcho       int    `json:"remote-echo-receive-interval"`
	RemoteMultiplier int    `json:"remote-detect-multiplier"`
}

func (f *frr) await(what string, is func(p frrPeer) bool) {
	f.t.Helper()
	last := ""
	defer func() {
		if f.t.Failed() {
			f.t.Logf("bfdd says %s", last)
		}
	}()
	lab.Eventually(f.t, "bfdd: "+what, func() bool {
		var peers []frrPeer
		out, err := f.say("show bfd peers json")
		last = out
		return err == nil && json.Unmarshal([]byte(out), &peers) == nil && len(peers) == 1 && is(peers[0])
	})
}

func (f *frr) awaitStatus(status string) {
	f.t.Helper()
	f.await(status, func(p frrPeer) bool { return p.Status == status })
}

// Everything that can happen to a session, with FRR on the other side.
func TestLiveFRR(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, bfdd)
	tests := map[string]struct {
		ours         bfd.Path
		theirs       string
		multihop     string
		passive      bool
		theirPassive bool
	}{
		"IPv4":           {ours: path("192.0.2.2", "", "", false), theirs: "peer 192.0.2.1 local-address 192.0.2.2"},
		"IPv6":           {ours: path("2001:db8::2", "2001:db8::1", "eth0", false), theirs: "peer 2001:db8::1 local-address 2001:db8::2"},
		"multihop":       {ours: path("192.0.2.2", "", "", true), theirs: "peer 192.0.2.1 multihop local-address 192.0.2.2"},
		"we are passive": {ours: path("192.0.2.2", "", "", false), theirs: "peer 192.0.2.1 local-address 192.0.2.2", passive: true},
		"FRR is passive": {ours: path("192.0.2.2", "", "", false), theirs: "peer 192.0.2.1 local-address 192.0.2.2", theirPassive: true},
		"IPv6 multihop":  {ours: path("2001:db8::2", "2001:db8::1", "", true), theirs: "peer 2001:db8::1 multihop local-address 2001:db8::2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			hostA, hostB := n.Host("a", "192.0.2.1/24", "2001:db8::1/64"), n.Host("b", "192.0.2.2/24", "2001:db8::2/64")
			// FRR gives up for good on an address that cannot be used yet.
			awaitIPv6(t, hostB, "2001:db8::2")
			block := " " + tt.theirs + "\n  receive-interval 40\n  transmit-interval 50\n  detect-multiplier 20\n"
			if tt.theirPassive {
				block += "  passive-mode\n"
			}
			peer := startFRR(t, hostB, block+" exit\n")
			us := speak(t, hostA)
			config := func(c *bfd.Config) { c.Passive = tt.passive }
			us.watch(tt.ours, config)
			us.awaitState(bfd.Up)
			peer.awaitStatus("up")
			us.await("what FRR wants", func(s bfdspeaker.SessionSnapshot) bool {
				return s.RemoteMinTx == 50*ms && s.RemoteMinRx == 40*ms && s.RemoteMultiplier == patient && !s.Polling &&
					s.TransmitInterval == 40*ms && s.DetectionTime == patient*50*ms
			})
			ours := us.session()
			peer.await("what we want", func(p frrPeer) bool {
				return p.RemoteTransmit == 30 && p.RemoteReceive == 30 && p.RemoteMultiplier == patient && p.RemoteEcho == 0 &&
					p.RemoteID == ours.Discriminator && p.ID == ours.RemoteDiscriminator
			})

			// Reloads on both sides, by Poll Sequences both ways: nobody goes down.
			before := us.session().Counters.Transitions
			for _, interval := range []int{120, 35, 80} {
				us.watch(tt.ours, config, func(c *bfd.Config) { c.MinTx = time.Duration(interval) * ms; c.MinRx = c.MinTx })
				peer.await("our new interval", func(p frrPeer) bool { return p.RemoteTransmit == interval && p.RemoteReceive == interval })
				us.await("the end of our Poll Sequence", func(s bfdspeaker.SessionSnapshot) bool { return !s.Polling })
			}
			for _, interval := range []int{150, 45, 60} {
				peer.configure(tt.theirs, fmt.Sprint("transmit-interval ", interval), fmt.Sprint("receive-interval ", interval))
				us.await("FRR's new interval", func(s bfdspeaker.SessionSnapshot) bool {
					return s.RemoteMinTx == time.Duration(interval)*ms && s.RemoteMinRx == time.Duration(interval)*ms
				})
			}
			if after := us.session().Counters.Transitions; after != before {
				t.Errorf("%d transitions because of reloads", after-before)
			}

			// Each side is held down by its operator in turn.
			us.watch(tt.ours, config, func(c *bfd.Config) { c.Disabled = true })
			peer.await("our AdminDown", func(p frrPeer) bool {
				return p.Status == "down" && p.RemoteDiagnostic == "administratively down"
			})
			us.watch(tt.ours, config)
			us.awaitState(bfd.Up)
			peer.awaitStatus("up")
			peer.configure(tt.theirs, "shutdown")
			us.await("FRR's AdminDown", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.RemoteState == bfd.AdminDown && s.Diagnostic == bfd.DiagNeighborSignaledDown
			})
			peer.configure(tt.theirs, "no shutdown")
			us.awaitState(bfd.Up)
			peer.awaitStatus("up")

			// It hangs for a while; then it crashes and comes back.
			peer.Signal(unix.SIGSTOP)
			us.await("a loss", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.Diagnostic == bfd.DiagDetectionTimeExpired
			})
			peer.Signal(unix.SIGCONT)
			us.awaitState(bfd.Up)
			peer.Kill()
			us.await("a loss", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.Diagnostic == bfd.DiagDetectionTimeExpired
			})
			peer.start()
			us.awaitState(bfd.Up)
			peer.awaitStatus("up")

			// We end: FRR is told, and does not have to find out.
			us.stop()
			peer.await("our end", func(p frrPeer) bool {
				return p.Status == "down" && p.RemoteDiagnostic == "administratively down" && p.Diagnostic == "neighbor signaled session down"
			})
		})
	}
}
