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
