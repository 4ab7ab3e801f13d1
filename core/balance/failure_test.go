package balance

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/pool"
)

// Without the privilege, or without the module, halo goes on trying, less and
// less often, says so once, and needs no restart when it can.
func TestKernelRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.kernel.Deny(unix.EPERM)
		s.start(wanted("web", virtual("10", "30")))
		time.Sleep(time.Minute)
		synctest.Wait()
		// 0, then after 100 ms, 200 ms, 400 ms ... up to 5 s.
		if dumps, _ := s.kernel.Calls(); dumps < 16 || dumps > 20 {
			t.Errorf("tried %d times in a minute", dumps)
		}
		s.up("web", "30") // Known, although nothing can be done about it.
		if dumps, reads := s.kernel.Calls(); dumps > 20 || reads > 0 {
			t.Errorf("a result asks a kernel that refuses: %d dumps, %d reads", dumps, reads)
		}
		v := s.snapshot()
		if v.Synced || v.Error == "" || v.Services["web"].State != pool.Up {
			t.Errorf("snapshot %+v", v)
		}
		if n := s.log.count("not as wanted"); n != 1 {
			t.Errorf("said %d times", n)
		}
		s.kernel.Deny(nil)
		time.Sleep(defaultInterval)
		synctest.Wait()
		s.table(web, web30)
		if v := s.snapshot(); !v.Synced || v.Error != "" || s.log.count("as wanted again") != 1 {
			t.Errorf("snapshot %+v", v)
		}
	})
}

// Until the kernel could be read, nothing is decided about what it serves.
func TestAdoptWhenTheKernelCanBeReadAtLast(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		c := virtual("10").Service
		c.Destinations = []ipvs.Destination{{Address: addr("30"), Weight: 1}, {Address: addr("31"), Weight: 1}}
		s.kernel.Put(c)
		s.kernel.Deny(unix.EPERM)
		s.start(wanted("web", virtual("10", "30", "31")))
		s.down("web", "31")
		s.kernel.Deny(nil)
		time.Sleep(defaultInterval)
		synctest.Wait()
		s.did("-d -t 192.0.2.10:80 -r 192.0.2.31:80")
		s.table(web, web30)
	})
}

func TestModuleComesLater(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.kernel = &kerneltest.IPVS{}
		s.start(wanted("web", unchecked(virtual("10", "30"))))
		if v := s.snapshot(); v.Synced || v.Error != "list services: the kernel has no IPVS" {
			t.Errorf("snapshot %+v", v)
		}
		s.kernel.Load()
		time.Sleep(time.Second)
		synctest.Wait()
		s.table(web, web30)
		// Unloaded and loaded again, it is empty.
		s.kernel.Load()
		time.Sleep(defaultInterval)
		synctest.Wait()
		s.table(web, web30)
	})
}

// Somebody is faster: what we were about to add is there, what we were about to
// edit is gone. Both are cured by looking again.
func TestTableIsNotAsBelieved(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		raced := false
		s.kernel.Veto(func(op *ipvs.Op) error {
			if !raced && op.Verb == ipvs.AddService {
				raced = true
				s.kernel.Put(ipvs.Service{Key: op.Service.Key, Scheduler: "rr"})
			}
			return nil
		})
		s.start(wanted("web", unchecked(virtual("10", "30"))))
		time.Sleep(firstRetry)
		synctest.Wait()
		s.table(web, web30)

		s.kernel.Veto(func(op *ipvs.Op) error {
			if op.Verb == ipvs.EditDestination {
				s.kernel.Veto(nil)
				s.kernel.Flush()
			}
			return nil
		})
		c := unchecked(virtual("10", "30"))
		c.Servers[0].Weight = 9
		s.apply(wanted("web", c))
		time.Sleep(firstRetry)
		synctest.Wait()
		s.table(web, "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 9")
	})
}

func TestGoneAlreadyIsAsGoodAsDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start(wanted("web", unchecked(virtual("10", "30", "31")), "api", virtual("11")))
		s.kernel.Veto(func(op *ipvs.Op) error {
			if deletion(op) {
				s.kernel.Outside(*op)
			}
			return nil
		})
		s.apply(wanted("web", unchecked(virtual("10", "30"))))
		s.table(web, web30)
		if v := s.snapshot(); v.Error != "" || !v.Synced {
			t.Errorf("snapshot %+v", v)
		}
	})
}

// One service that the kernel will not have does not keep the others waiting, and
// does not lose the server whose successor could not be added.
func TestPartialFailure(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start(wanted("web", unchecked(virtual("10", "30")), "api", unchecked(virtual("11", "30"))))
		s.kernel.Log()
		refuse := func(op *ipvs.Op) error {
			if op.Verb == ipvs.AddDestination && op.Service.Key.Address == addr("10") || op.Service.Scheduler == "none-such" {
				return errors.New("out of memory")
			}
			return nil
		}
		s.kernel.Veto(refuse)
		bad := virtual("12")
		bad.Service.Scheduler = "none-such"
		s.apply(wanted("web", unchecked(virtual("10", "31")), "api", unchecked(virtual("11", "31")), "bad", bad))
		s.did(
			"-a -t 192.0.2.11:80 -r 192.0.2.31:80 -m -w 1",
			"-d -t 192.0.2.11:80 -r 192.0.2.30:80",
		)
		s.table(web, web30, "-A -t 192.0.2.11:80 -s wrr", "-a -t 192.0.2.11:80 -r 192.0.2.31:80 -m -w 1")
		if v := s.snapshot(); v.Synced || v.Error != "-a -t 192.0.2.10:80 -r 192.0.2.31:80 -m -w 1: out of memory (and 1 more)" {
			t.Errorf("snapshot says %q", v.Error)
		}

		// A change elsewhere is carried out at once all the same.
		time.Sleep(time.Minute)
		s.kernel.Log()
		api := unchecked(virtual("11", "31"))
		api.Servers[0].Weight = 4
		s.apply(wanted("web", unchecked(virtual("10", "31")), "api", api, "bad", bad))
		s.did("-e -t 192.0.2.11:80 -r 192.0.2.31:80 -m -w 4")

		s.kernel.Veto(nil)
		time.Sleep(defaultInterval)
		synctest.Wait()
		s.did(
			web31, "-d -t 192.0.2.10:80 -r 192.0.2.30:80",
			"-A -t 192.0.2.12:80 -s none-such",
		)
		if v := s.snapshot(); !v.Synced || v.Error != "" {
			t.Errorf("snapshot %+v", v)
		}
		if n := len(s.seen.driftsSoFar()); n != 0 {
			t.Errorf("%d drifts: our own failures are none", n)
		}
	})
}

// While one service is broken, results about others reach the kernel at once.
func TestResultsDuringBackOff(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.kernel.Veto(func(op *ipvs.Op) error {
			if op.Service.Key.Address == addr("12") {
				return errors.New("no")
			}
			return nil
		})
		s.start(wanted("web", virtual("10", "30"), "api", virtual("11"), "more", virtual("13"), "bad", virtual("12")))
		time.Sleep(time.Minute)
		s.kernel.Log()
		s.up("web", "30")
		s.did(web30)
	})
}

// A delete that fails is tried again, and the service remains ours.
func TestLeftOverThatWillNotGo(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start(wanted("web", virtual("10"), "api", virtual("11")))
		s.kernel.Veto(func(op *ipvs.Op) error {
			if op.Verb == ipvs.DeleteService {
				return unix.EBUSY
			}
			return nil
		})
		s.apply(wanted("web", virtual("10")))
		if got := s.recorded(); got != "tcp:192.0.2.10:80 tcp:192.0.2.11:80" {
			t.Errorf("recorded %q", got)
		}
		s.kernel.Veto(nil)
		time.Sleep(firstRetry)
		synctest.Wait()
		s.table(web)
	})
}

// Nobody who posts ever waits for the kernel, and nothing that counts is lost.
func TestPostWhileTheKernelHangs(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start(wanted("web", virtual("10", "30", "31"), "api", virtual("11"), "more", virtual("12")))
		release := make(chan struct{})
		s.kernel.Veto(func(*ipvs.Op) error { <-release; return nil })
		s.up("web", "30")
		start := time.Now()
		for i := range 10 * mailRoom {
			s.b.Post("web", pool.CheckResult{Server: addr("30"), Check: "tcp", Outcome: pool.OutcomePass})
			if i < 3 {
				s.b.Post("web", pool.CheckResult{Server: addr("31"), Check: "tcp", Outcome: pool.OutcomePass, Detail: strconv.Itoa(i)})
			}
		}
		s.b.Post("web", pool.CheckResult{Server: addr("31"), Check: "tcp", Outcome: pool.OutcomeFail})
		if time.Since(start) != 0 {
			t.Error("posting took time")
		}
		if merged, fresh := len(s.b.mail.order), len(s.b.mail.fresh); merged != 2 || fresh > mailRoom {
			t.Errorf("results of %d checks are merged, %d are not", merged, fresh)
		}
		close(release)
		s.kernel.Veto(nil)
		synctest.Wait()
		v := s.snapshot()
		s.table(web, web30, web31, "-A -t 192.0.2.11:80 -s wrr", "-A -t 192.0.2.12:80 -s wrr")
		if c := v.Services["web"].Servers[1].Checks[0]; v.Dropped != 0 || c.Verdict != pool.Up || c.Outcome != pool.OutcomeFail {
			t.Errorf("dropped %d, check %+v", v.Dropped, c)
		}
	})
}

func TestResultsThatAreLostAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start(wanted("web", virtual("10", "30")))
		release := make(chan struct{})
		s.kernel.Veto(func(*ipvs.Op) error { <-release; return nil })
		s.up("web", "30")
		for range mailRoom/2 + 1 {
			for _, o := range []pool.Outcome{pool.OutcomePass, pool.OutcomeFail} {
				s.b.Post("web", pool.CheckResult{Server: addr("30"), Check: "tcp", Outcome: o})
			}
		}
		close(release)
		synctest.Wait()
		// One more than there is room for makes all of them one check's letters.
		if v := s.snapshot(); v.Dropped != mailRoom+1-maxLetters {
			t.Errorf("dropped %d", v.Dropped)
		}
		if s.log.count("probe results lost") != 1 {
			t.Error("the log does not say so")
		}
	})
}
