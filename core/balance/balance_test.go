package balance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/pool"
)

// site is a Balancer over an in-memory kernel, inside a synctest bubble.
type site struct {
	t      *testing.T
	kernel *kerneltest.IPVS
	record string
	epoch  string
	seen   *notebook
	log    *safeBuffer

	b      *Balancer
	cancel context.CancelFunc
	done   chan error
}

func newSite(t *testing.T) *site {
	t.Helper()
	return &site{
		t: t, kernel: kerneltest.NewIPVS(), record: filepath.Join(t.TempDir(), "ipvs"), epoch: "boot/1",
		seen: &notebook{}, log: &safeBuffer{},
	}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.record = filepath.Join(dir, "ipvs")
		f(t, s)
		if s.b != nil {
			s.kill()
		}
	})
}

// start runs a Balancer with a configuration and waits until it has settled.
func (s *site) start(w Wanted) {
	s.t.Helper()
	s.run()
	s.apply(w)
}

// run runs a Balancer that has no configuration yet.
func (s *site) run() {
	s.t.Helper()
	s.b = New(Config{
		Kernel: s.kernel, Observer: s.seen, Record: s.record, Epoch: s.epoch,
		Log: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	ctx, cancel := context.WithCancel(s.t.Context())
	s.cancel, s.done = cancel, make(chan error, 1)
	go func() { s.done <- s.b.Run(ctx) }()
}

// stop ends the Balancer as SIGTERM does.
func (s *site) stop() error {
	s.t.Helper()
	s.cancel()
	err := <-s.done
	s.b = nil
	return err
}

// kill ends the Balancer without leaving it a chance to clean up: the kernel and
// the record stay as they are.
func (s *site) kill() {
	s.t.Helper()
	text, err := os.ReadFile(s.record)
	s.kernel.Veto(func(*ipvs.Op) error { return errors.New("dead") })
	_ = s.stop() // Whatever it says, it was not to do anything.
	s.kernel.Veto(nil)
	if err == nil {
		if err := os.WriteFile(s.record, text, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) apply(w Wanted) {
	s.t.Helper()
	s.b.Apply(w)
	synctest.Wait()
}

// result posts the same outcome several times and waits.
func (s *site) result(service, server string, o pool.Outcome, times int) {
	s.t.Helper()
	for range times {
		s.b.Post(service, pool.CheckResult{Server: addr(server), Check: "tcp", Outcome: o})
	}
	synctest.Wait()
}

func (s *site) up(service string, servers ...string) {
	s.t.Helper()
	for _, server := range servers {
		s.result(service, server, pool.OutcomePass, 2)
	}
}

func (s *site) down(service string, servers ...string) {
	s.t.Helper()
	for _, server := range servers {
		s.result(service, server, pool.OutcomeFail, 3)
	}
}

func (s *site) snapshot() Snapshot {
	s.t.Helper()
	v, err := s.b.Snapshot(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// table asserts the kernel's table.
func (s *site) table(want ...string) {
	s.t.Helper()
	if d := cmp.Diff(strings.Join(want, "\n"), strings.TrimSuffix(s.kernel.String(), "\n")); d != "" {
		s.t.Errorf("table (-want +got):\n%s", d)
	}
}

// did asserts the operations since the last time.
func (s *site) did(want ...string) {
	s.t.Helper()
	if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(s.kernel.Log(), "\n")); d != "" {
		s.t.Errorf("operations (-want +got):\n%s", d)
	}
}

// recorded returns the record's services.
func (s *site) recorded() string {
	text, err := os.ReadFile(s.record)
	if err != nil {
		return ""
	}
	lines := strings.SplitN(string(text), "\n", 3)
	return strings.ReplaceAll(strings.TrimSpace(lines[2]), "\n", " ")
}

// notebook is an Observer.
type notebook struct {
	mu      sync.Mutex
	changes []string
	drifts  []Drift
}

func (n *notebook) Changed(service string, action pool.Action) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch a := action.(type) {
	case pool.ServerChanged:
		n.changes = append(n.changes, fmt.Sprintf("%s %v %v>%v %s", service, a.Server, a.From, a.To, a.Why))
	case pool.QuorumChanged:
		n.changes = append(n.changes, fmt.Sprintf("%s quorum %v>%v", service, a.From, a.To))
	case pool.SetTable:
		n.changes = append(n.changes, fmt.Sprintf("%s table of %d", service, len(a.Service.Destinations)))
	}
}

func (n *notebook) Drifted(d Drift) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drifts = append(n.drifts, d)
}

func (n *notebook) driftsSoFar() []Drift {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.drifts
}

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), text)
}

func addr(text string) netip.AddrPort {
	if !strings.Contains(text, ":") {
		text = "192.0.2." + text + ":80"
	}
	return netip.MustParseAddrPort(text)
}

// virtual returns the configuration of a virtual server at 192.0.2.HOST:80 whose
// servers (".30" is 192.0.2.30:80) have one check each.
func virtual(host string, servers ...string) pool.Config {
	c := pool.Config{
		Service: ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, addr(host)), Scheduler: "wrr"},
		Quorum:  1,
	}
	for _, s := range servers {
		c.Servers = append(c.Servers, pool.RealServer{
			Address: addr(s), Weight: 1, Checks: []pool.Check{{Name: "tcp", Rise: 2, Fall: 3}},
		})
	}
	return c
}

// unchecked removes the checks, so that the servers are in service at once.
func unchecked(c pool.Config) pool.Config {
	for i := range c.Servers {
		c.Servers[i].Checks = nil
	}
	return c
}

func wanted(name string, c pool.Config, more ...any) Wanted {
	w := Wanted{Services: map[string]pool.Config{name: c}}
	for i := 0; i < len(more); i += 2 {
		w.Services[more[i].(string)] = more[i+1].(pool.Config)
	}
	return w
}

const (
	web   = "-A -t 192.0.2.10:80 -s wrr"
	web30 = "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 1"
	web31 = "-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 1"
)

func TestServersComeAndGo(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(wanted("web", virtual("10", "30", "31")))
		s.did(web) // Nobody is proven yet.
		s.up("web", "30", "31")
		s.did(web30, web31)
		s.down("web", "30")
		s.did("-d -t 192.0.2.10:80 -r 192.0.2.30:80")
		s.table(web, web31)
		if v := s.snapshot(); !v.Synced || !v.InUse || v.Error != "" || v.Operations != 4 || v.Services["web"].Weight != 1 {
			s.t.Errorf("snapshot %+v", v)
		}
		want := []string{
			"web table of 0",
			"web 192.0.2.30:80 unknown>up checks passed", "web quorum unknown>up", "web table of 1",
			"web 192.0.2.31:80 unknown>up checks passed", "web table of 2",
			"web 192.0.2.30:80 up>down check failed: tcp", "web table of 1",
		}
		if d := cmp.Diff(want, s.seen.changes); d != "" {
			s.t.Errorf("told (-want +got):\n%s", d)
		}
	})
}

// A change asks the kernel about the service that changed, not about all.
func TestChangeIsCheap(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		w := Wanted{Services: map[string]pool.Config{}}
		for i := range 50 {
			w.Services[fmt.Sprint("s", i)] = virtual(fmt.Sprintf("198.51.100.%d:80", i), "30", "31")
		}
		s.start(w)
		dumps, reads := s.kernel.Calls()
		s.up("s7", "30")
		if d, r := s.kernel.Calls(); d != dumps || r != reads+1 {
			s.t.Errorf("%d dumps and %d reads for one change", d-dumps, r-reads)
		}
		time.Sleep(defaultInterval)
		synctest.Wait()
		if d, _ := s.kernel.Calls(); d != dumps+1 {
			s.t.Errorf("%d dumps in one interval", d-dumps)
		}
		// When most of them change at once, one dump is cheaper.
		dumps, reads = s.kernel.Calls()
		for i := range 50 {
			s.b.Post(fmt.Sprint("s", i), pool.CheckResult{Server: addr("31"), Check: "tcp", Outcome: pool.OutcomePass})
			s.b.Post(fmt.Sprint("s", i), pool.CheckResult{Server: addr("31"), Check: "tcp", Outcome: pool.OutcomePass})
		}
		synctest.Wait()
		if d, r := s.kernel.Calls(); d-dumps+r-reads > 51 {
			s.t.Errorf("%d dumps and %d reads for 50 changes", d-dumps, r-reads)
		}
		for i := range 50 {
			if n := s.snapshot().Services[fmt.Sprint("s", i)].Weight; n < 1 {
				s.t.Errorf("s%d has weight %d", i, n)
			}
		}
	})
}

func TestReloadTouchesOnlyWhatChanged(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		web, api := unchecked(virtual("10", "30")), unchecked(virtual("11", "30", "31"))
		s.start(wanted("web", web, "api", api))
		s.kernel.Log()
		s.apply(wanted("web", web, "api", api))
		s.did()

		changed := unchecked(virtual("11", "31", "32"))
		changed.Service.Scheduler = "sh"
		changed.Servers[0].Weight = 5
		s.apply(wanted("web", web, "api", changed))
		s.did(
			"-E -t 192.0.2.11:80 -s sh",
			"-a -t 192.0.2.11:80 -r 192.0.2.32:80 -m -w 1",
			"-e -t 192.0.2.11:80 -r 192.0.2.31:80 -m -w 5",
			"-d -t 192.0.2.11:80 -r 192.0.2.30:80",
		)
		s.apply(wanted("web", web))
		s.did("-D -t 192.0.2.11:80")
		if got := s.recorded(); got != "tcp:192.0.2.10:80" {
			s.t.Errorf("recorded %q", got)
		}
	})
}

// The last of several reloads counts, and a removed and renamed service is not
// taken out of the kernel in between.
func TestReloadsInARow(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(wanted("web", virtual("10", "30", "31")))
		s.up("web", "30", "31")
		s.kernel.Log()
		s.b.Apply(wanted("other", virtual("12")))
		s.b.Apply(Wanted{})
		s.apply(wanted("www", virtual("10", "30", "31")))
		s.did()
		s.table(web, web30, web31)
		// Under the new name nothing has been proven, but the kernel served it.
		if v := s.snapshot().Services["www"]; v.Servers[0].State != pool.Unknown || !v.Servers[0].InService || v.Servers[0].Reason != pool.ReasonAdopted {
			s.t.Errorf("server %+v", v.Servers[0])
		}
		s.down("www", "30")
		s.table(web, web31)
	})
}

func TestServiceMovesToAnotherAddress(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(wanted("web", virtual("10", "30")))
		s.up("web", "30")
		s.kernel.Log()
		s.apply(wanted("web", virtual("11", "30")))
		s.did( // The server's history goes with it, and the new is there before the old goes.
			"-A -t 192.0.2.11:80 -s wrr",
			"-a -t 192.0.2.11:80 -r 192.0.2.30:80 -m -w 1",
			"-D -t 192.0.2.10:80",
		)
	})
}

func TestTwoServicesSwapAddresses(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(wanted("a", unchecked(virtual("10", "30")), "b", unchecked(virtual("11", "31"))))
		s.apply(wanted("b", unchecked(virtual("10", "31")), "a", unchecked(virtual("11", "30"))))
		s.table(web, web31, "-A -t 192.0.2.11:80 -s wrr", "-a -t 192.0.2.11:80 -r 192.0.2.30:80 -m -w 1")
		if n := len(s.seen.driftsSoFar()); n != 0 {
			s.t.Errorf("%d drifts", n)
		}
	})
}

func TestTwoServicesWithOneAddress(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(wanted("b", unchecked(virtual("10", "31")), "a", unchecked(virtual("10", "30"))))
		s.table(web, web30)
		if s.log.count("the second is ignored") != 1 {
			s.t.Error("the log does not say so")
		}
		s.result("b", "31", pool.OutcomePass, 1)
		s.apply(wanted("b", unchecked(virtual("10", "31"))))
		s.table(web, web31)
	})
}

// A daemon without virtual servers needs no IPVS in the kernel.
func TestNoServicesNoKernel(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(Wanted{})
		time.Sleep(time.Hour)
		if d, r := s.kernel.Calls(); d+r != 0 {
			s.t.Errorf("asked the kernel %d times", d+r)
		}
		if v := s.snapshot(); v.InUse || v.Error != "" || !v.Synced {
			s.t.Errorf("snapshot %+v", v)
		}
		if err := s.stop(); err != nil {
			s.t.Error(err)
		}
		s.did()
	})
}

func TestPluginGraceEndsOnTime(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		c := virtual("10", "30")
		c.Servers[0].Checks[0].FailOnLoss = true
		c.Servers[0].Checks[0].Grace = 30 * time.Second
		s.start(wanted("web", c))
		s.up("web", "30")
		s.b.PostLoss("web", pool.PluginLost{Server: addr("30"), Check: "tcp"})
		time.Sleep(30*time.Second - time.Millisecond)
		synctest.Wait()
		s.table(web, web30)
		if v := s.snapshot().Services["web"].Servers[0]; v.State != pool.Unknown || !v.Checks[0].PluginLost {
			s.t.Errorf("server %+v", v)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		s.table(web)
		// Back in time: nothing is waited for any more.
		s.up("web", "30")
		s.b.PostLoss("web", pool.PluginLost{Server: addr("30"), Check: "tcp"})
		time.Sleep(20 * time.Second)
		s.result("web", "30", pool.OutcomeUnknown, 1)
		time.Sleep(time.Hour)
		s.table(web, web30)
	})
}

func TestStopRemovesWhatIsOurs(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		foreign := unchecked(virtual("99", "30")).Service
		s.kernel.Put(foreign)
		s.start(wanted("web", unchecked(virtual("10", "30")), "api", unchecked(virtual("11", "30"))))
		s.apply(wanted("web", unchecked(virtual("10", "30", "31")), "api", unchecked(virtual("11", "30")))) // R12
		if err := s.stop(); err != nil {
			s.t.Error(err)
		}
		s.table("-A -t 192.0.2.99:80 -s wrr")
		if _, err := os.Stat(s.record); !errors.Is(err, os.ErrNotExist) {
			s.t.Errorf("the record is still there: %v", err)
		}
	})
}

func TestStopTellsWhatItCouldNotRemove(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(wanted("web", virtual("10"), "api", virtual("11")))
		s.kernel.Veto(func(op *ipvs.Op) error {
			if op.Service.Key.Address == addr("10") {
				return errors.New("no")
			}
			return nil
		})
		if err := s.stop(); err == nil || !strings.Contains(err.Error(), "192.0.2.10:80") {
			s.t.Errorf("stop: %v", err)
		}
		if got := s.recorded(); got != "tcp:192.0.2.10:80" {
			s.t.Errorf("recorded %q", got)
		}
	})
}

func TestSnapshotEnds(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start(wanted("web", virtual("10", "30")))
		b := s.b

		// While the kernel is busy there is no answer, and none from yesterday.
		release := make(chan struct{})
		s.kernel.Veto(func(*ipvs.Op) error { <-release; return nil })
		s.b.Post("web", pool.CheckResult{Server: addr("30"), Check: "tcp", Outcome: pool.OutcomePass})
		s.b.Post("web", pool.CheckResult{Server: addr("30"), Check: "tcp", Outcome: pool.OutcomePass})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Snapshot(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while busy: %v", err)
		}
		close(release)
		s.kernel.Veto(nil)
		if v := s.snapshot(); v.Services["web"].Weight != 1 {
			t.Errorf("afterwards: %+v", v)
		}

		s.kernel.Veto(func(*ipvs.Op) error { time.Sleep(time.Second); return nil })
		waiting := make(chan error, 1)
		s.cancel()
		synctest.Wait()
		go func() { _, err := b.Snapshot(t.Context()); waiting <- err }()
		if err := <-waiting; !errors.Is(err, ErrStopped) {
			t.Errorf("while stopping: %v", err)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if _, err := b.Snapshot(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}
