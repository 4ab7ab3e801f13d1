package balance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
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
		// While the kernel hangs over one change, the next ones wait together.
		release := make(chan struct{})
		s.kernel.Veto(func(*ipvs.Op) error { <-release; return nil })
		s.apply(wanted("web", virtual("10", "30", "31"), "short", virtual("13")))
		s.b.Apply(wanted("other", virtual("12")))
		s.b.Apply(Wanted{})
		s.apply(wanted("www", virtual("10", "30", "31")))
		close(release)
		s.kernel.Veto(nil)
		synctest.Wait()
		s.did("-A -t 192.0.2.13:80 -s wrr", "-D -t 192.0.2.13:80")
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
