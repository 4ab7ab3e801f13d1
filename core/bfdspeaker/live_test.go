package bfdspeaker_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/bfdspeaker"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/bfdkernel"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

func TestMain(m *testing.M) { lab.Main(m, 8) }

// machine is a Speaker on a host, with the kernel's sockets and timer.
type machine struct {
	*bfdspeaker.Speaker
	t    testing.TB
	stop func()

	mu  sync.Mutex
	log []string
}

// speak runs a Speaker on the host until the test ends.
func speak(t testing.TB, host *lab.Host) *machine {
	t.Helper()
	m := &machine{t: t}
	m.Speaker = bfdspeaker.New(bfdspeaker.Options{
		Listen: func(multihop, ipv6 bool, ready chan<- struct{}) (bfdspeaker.Receiver, error) {
			return bfdkernel.Listen(host.Namespace, multihop, ipv6, ready)
		},
		Dial:     func(path bfd.Path) (bfdspeaker.Sender, error) { return bfdkernel.Dial(host.Namespace, path) },
		Alarm:    func() (bfdspeaker.Alarm, error) { return bfdkernel.Alarm() },
		Observer: m,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		m.stop()
		if t.Failed() {
			t.Logf("%s heard:\n\t%s", host.Label(), strings.Join(m.heard(), "\n\t"))
		}
	})
	return m
}

func (m *machine) StateChanged(name string, _ time.Time, c bfd.StateChanged) {
	m.note("%s %v>%v %v (peer %v)", name, c.From, c.To, c.Diagnostic, c.RemoteState)
}

func (m *machine) SocketChanged(socket string, err error) { m.note("socket %s %v", socket, err) }

func (m *machine) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *machine) heard() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

// session is the state of the session "peer".
func (m *machine) session() bfdspeaker.SessionSnapshot {
	m.t.Helper()
	s, err := m.Snapshot(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return s.Sessions["peer"]
}

func (m *machine) await(what string, is func(s bfdspeaker.SessionSnapshot) bool) {
	m.t.Helper()
	lab.Eventually(m.t, what, func() bool { return is(m.session()) })
}

func (m *machine) awaitState(state bfd.State) {
	m.t.Helper()
	m.await("session "+state.String(), func(s bfdspeaker.SessionSnapshot) bool { return s.State == state })
}

// patient is how many packets in a row may be missed: with it, detection takes so
// long that a machine with a lot of other work does not bring it about.
const patient = 20

// watch is the configuration of these tests: 600 ms to detect.
func (m *machine) watch(p bfd.Path, change ...func(c *bfd.Config)) {
	m.t.Helper()
	c := bfd.Defaults()
	c.MinTx, c.MinRx, c.Multiplier = 30*ms, 30*ms, patient
	for _, f := range change {
		f(&c)
	}
	if err := m.Set("peer", p, c); err != nil {
		m.t.Fatal(err)
	}
}

// awaitIPv6 waits until nobody else has the address: before that it cannot be
// used.
func awaitIPv6(t testing.TB, host *lab.Host, address string) {
	t.Helper()
	lab.Eventually(t, address+" on "+host.Label(), func() bool {
		return host.Do(func() error {
			c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp6", "["+address+"]:0")
			if err == nil {
				err = c.Close()
			}
			return err
		}) == nil
	})
}

// Two of our own, over every kind of path.
func TestLive(t *testing.T) {
	t.Parallel()
	for name, paths := range map[string][2]bfd.Path{
		"IPv4":           {path("192.0.2.2", "", "", false), path("192.0.2.1", "", "", false)},
		"IPv4 interface": {path("192.0.2.2", "192.0.2.1", "eth0", false), path("192.0.2.1", "192.0.2.2", "eth0", false)},
		"IPv6":           {path("2001:db8::2", "", "", false), path("2001:db8::1", "", "", false)},
		"link-local":     {path("fe80::2", "fe80::1", "eth0", false), path("fe80::1", "fe80::2", "eth0", false)},
		"multihop":       {path("192.0.2.2", "", "", true), path("192.0.2.1", "", "", true)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			hostA := n.Host("a", "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64")
			hostB := n.Host("b", "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")
			a, b := speak(t, hostA), speak(t, hostB)
			a.watch(paths[0])
			b.watch(paths[1])
			a.awaitState(bfd.Up)
			b.awaitState(bfd.Up)
			a.await("the agreed interval", func(s bfdspeaker.SessionSnapshot) bool {
				return s.TransmitInterval == 30*ms && s.DetectionTime == patient*30*ms && !s.Polling
			})

			// The cable is pulled: both notice by themselves.
			hostA.Pull()
			a.await("a's detection", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.Diagnostic == bfd.DiagDetectionTimeExpired
			})
			b.await("b's detection", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.Diagnostic == bfd.DiagDetectionTimeExpired
			})
			hostA.Plug()
			a.awaitState(bfd.Up)
			b.awaitState(bfd.Up)

			// A reload keeps the session.
			before := len(a.heard()) + len(b.heard())
			for _, interval := range []time.Duration{90 * ms, 50 * ms, 200 * ms} {
				a.watch(paths[0], func(c *bfd.Config) { c.MinTx, c.MinRx = interval, interval })
				b.await("the peer's new interval", func(s bfdspeaker.SessionSnapshot) bool {
					return s.RemoteMinTx == interval && s.TransmitInterval == interval
				})
			}
			if after := len(a.heard()) + len(b.heard()); after != before {
				t.Errorf("%d events because of a reload", after-before)
			}

			// The program ends: the other one knows it from what it is told.
			a.stop()
			b.await("what a said last", func(s bfdspeaker.SessionSnapshot) bool {
				return s.State == bfd.Down && s.Diagnostic == bfd.DiagNeighborSignaledDown && s.RemoteState == bfd.AdminDown
			})
		})
	}
}

// Over several hops: the TTL falls, and how far it may is what max_hops says.
func TestLiveThroughARouter(t *testing.T) {
	t.Parallel()
	left, right := lab.New(t), lab.New(t)
	hostA, hostB := left.Host("a", "192.0.2.1/24"), right.Host("b", "198.51.100.1/24")
	between(left, right)
	hostA.AddRoute("default", "192.0.2.254")
	hostB.AddRoute("default", "198.51.100.254")
	a, b := speak(t, hostA), speak(t, hostB)
	a.watch(path("198.51.100.1", "", "", true), func(c *bfd.Config) { c.MaxHops = 1 })
	b.watch(path("192.0.2.1", "", "", true), func(c *bfd.Config) { c.MaxHops = 0 })
	b.await("packets from too far", func(s bfdspeaker.SessionSnapshot) bool { return s.Counters.Dropped[bfd.DropTTL] > 2 })
	if s := b.session(); s.State != bfd.Down {
		t.Errorf("is %v", s.State)
	}
	b.watch(path("192.0.2.1", "", "", true), func(c *bfd.Config) { c.MaxHops = 1 })
	a.awaitState(bfd.Up)
	b.awaitState(bfd.Up)
}

// between puts a router, .254 on either side, between two networks.
func between(left, right *lab.Network) {
	router := left.Host("router", "192.0.2.254/24")
	right.Attach(router.Namespace, "eth1", "198.51.100.254/24")
	router.Sysctl("ipv4/ip_forward", "1")
}

// An address that comes later, and one that goes for a while.
func TestLiveAddressThatIsNotThere(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	hostA, hostB := n.Host("a"), n.Host("b", "192.0.2.2/24")
	a, b := speak(t, hostA), speak(t, hostB)
	a.watch(path("192.0.2.2", "192.0.2.1", "eth0", false))
	b.watch(path("192.0.2.1", "", "", false))
	a.await("an error", func(s bfdspeaker.SessionSnapshot) bool { return s.SendError != "" && s.Counters.SendErrors > 1 })
	for range 2 {
		hostA.AddAddress("eth0", "192.0.2.1/24")
		a.awaitState(bfd.Up)
		b.awaitState(bfd.Up)
		if s := a.session(); s.SendError != "" {
			t.Errorf("error %q", s.SendError)
		}
		hostA.DelAddress("eth0", "192.0.2.1/24")
		a.awaitState(bfd.Down)
		b.awaitState(bfd.Down)
	}
}

// What an independent reader makes of our packets, from the first to the last.
func TestLiveCapture(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "tcpdump")
	kerneltest.RequireTool(t, "tshark")
	n := lab.New(t)
	hostA, hostB := n.Host("a", "192.0.2.1/24"), n.Host("b", "192.0.2.2/24")
	file := filepath.Join(t.TempDir(), "capture")
	capture := hostB.Start(kerneltest.ToolPath("tcpdump"), "-Z", "root", "-U", "--immediate-mode", "-n", "-i", "eth0", "-w", file, "udp", "port", "3784")
	capture.WaitOutput("listening on")
	a, b := speak(t, hostA), speak(t, hostB)
	a.watch(path("192.0.2.2", "", "", false))
	b.watch(path("192.0.2.1", "", "", false))
	a.awaitState(bfd.Up)
	b.awaitState(bfd.Up)
	a.await("the end of the Poll Sequence", func(s bfdspeaker.SessionSnapshot) bool { return !s.Polling })
	a.watch(path("192.0.2.2", "", "", false), func(c *bfd.Config) { c.Disabled = true })
	b.awaitState(bfd.Down)
	lab.Eventually(t, "the last packets in the capture", func() bool {
		content, err := os.ReadFile(file)
		// a in AdminDown with its diagnostic, b in Down with its own.
		return err == nil && bytes.Contains(content, []byte{0x27, 0x00, patient, bfd.Length}) && bytes.Contains(content, []byte{0x23, 0x40, patient, bfd.Length})
	})
	capture.Signal(unix.SIGINT)
	_ = capture.Wait() // How it ends does not matter.

	tshark := exec.CommandContext(t.Context(), kerneltest.ToolPath("tshark"), "-r", file, "-d", "udp.port==3784,bfd", "-T", "fields",
		"-e", "ip.src", "-e", "ip.ttl", "-e", "udp.srcport", "-e", "bfd.version", "-e", "bfd.sta", "-e", "bfd.diag",
		"-e", "bfd.flags.p", "-e", "bfd.flags.f", "-e", "bfd.detect_time_multiplier", "-e", "bfd.required_min_echo_interval",
		"-e", "_ws.malformed", "-e", "udp.checksum.status", "-o", "udp.check_checksum:FALSE")
	out, err := tshark.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	states, polls, finals := map[string]bool{}, 0, 0
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 12 || f[1] != "255" || f[3] != "1" || f[8] != strconv.Itoa(patient) || f[9] != "0" || f[10] != "" || len(f[2]) != 5 || f[2] < "49152" {
			t.Errorf("%q", f)
			continue
		}
		states[f[0]+" "+f[4]+" "+f[5]] = true
		if f[6] == "1" || f[6] == "True" {
			polls++
		}
		if f[7] == "1" || f[7] == "True" {
			finals++
		}
	}
	// a has said that it is down, up and administratively down with diagnostic 7.
	for _, want := range []string{"192.0.2.1 0x01 0x00", "192.0.2.1 0x03 0x00", "192.0.2.1 0x00 0x07", "192.0.2.2 0x01 0x03"} {
		if !states[want] {
			t.Errorf("no packet with %s in\n%s", want, out)
		}
	}
	if polls == 0 || finals == 0 {
		t.Errorf("%d polls and %d answers in\n%s", polls, finals, out)
	}
}
