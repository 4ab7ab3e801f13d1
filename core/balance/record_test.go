package balance

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

// R10: after a kill the next run finds its services as they are and does nothing
// to them.
func TestAdoptAfterKill(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		w := wanted("web", virtual("10", "30", "31"), "api", unchecked(virtual("11", "30")))
		s.start(w)
		s.up("web", "30")
		before := s.kernel.String()
		s.kill()
		s.kernel.Log()

		s.start(w)
		time.Sleep(time.Minute)
		s.did()
		if got := s.kernel.String(); got != before {
			t.Errorf("the table became\n%s", got)
		}
		v := s.snapshot().Services["web"]
		if v.State != pool.Up || !v.Servers[0].InService || v.Servers[0].Reason != pool.ReasonAdopted || v.Servers[1].InService {
			t.Errorf("adopted as %+v", v)
		}
		// Proven later, it stays; the other one comes as any new server.
		s.up("web", "30", "31")
		s.did(web31)
	})
}

func TestLeftOversAreRemoved(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		foreign := unchecked(virtual("99", "30")).Service
		foreign.Destinations = []ipvs.Destination{{Address: addr("30"), Weight: 7}}
		s.kernel.Put(foreign)
		s.start(wanted("web", virtual("10", "30"), "api", virtual("11", "30")))
		s.kill()
		s.kernel.Log()

		s.start(wanted("web", virtual("10", "30")))
		s.did("-D -t 192.0.2.11:80")
		s.table(web, "-A -t 192.0.2.99:80 -s wrr", "-a -t 192.0.2.99:80 -r 192.0.2.30:80 -m -w 7")
		if got := s.recorded(); got != "tcp:192.0.2.10:80" {
			s.t.Errorf("recorded %q", got)
		}
	})
}

// A service that is configured is ours even if somebody else has made it.
func TestConfiguredServiceOfSomebodyElse(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		made := virtual("10").Service
		made.Scheduler = "rr"
		made.Destinations = []ipvs.Destination{{Address: addr("30"), Weight: 4}, {Address: addr("77"), Weight: 1}}
		s.kernel.Put(made)
		s.start(wanted("web", virtual("10", "30", "31")))
		s.did(web[:1]+"E"+web[2:], "-d -t 192.0.2.10:80 -r 192.0.2.77:80")
		s.table(web, "-a -t 192.0.2.10:80 -r 192.0.2.30:80 -m -w 4")
		if n := len(s.seen.driftsSoFar()); n != 0 {
			s.t.Errorf("%d drifts: what was there before us is none", n)
		}
		s.kill()
		s.start(Wanted{})
		s.table()
	})
}

func TestRecordOfAnotherEpoch(t *testing.T) {
	bubble(t, func(_ *testing.T, s *site) {
		s.start(wanted("web", virtual("10")))
		s.kill()
		s.epoch = "boot/2" // The same address is somebody else's after a new boot.
		s.start(wanted("api", virtual("11")))
		s.table(web, "-A -t 192.0.2.11:80 -s wrr")
		if got := s.recorded(); got != "tcp:192.0.2.11:80" {
			s.t.Errorf("recorded %q", got)
		}
	})
}

func TestDamagedRecord(t *testing.T) {
	for name, tt := range map[string]struct{ record, table string }{
		"one bad line": {recordTitle + "\nepoch boot/1\ntcp:192.0.2.10:80\nrubbish\n", ""},
		"no title":     {"tcp:192.0.2.10:80\n", web},
		"empty":        {"", web},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				if err := os.WriteFile(s.record, []byte(tt.record), 0o600); err != nil {
					t.Fatal(err)
				}
				s.kernel.Put(virtual("10").Service)
				s.start(Wanted{})
				s.table(tt.table)
				if s.log.count("unreadable") != 1 {
					t.Error("the log does not say that the record is damaged")
				}
			})
		})
	}
}

// At every moment the file names all services that are ours in the kernel.
func TestRecordIsWrittenBeforeTheKernel(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		seen := 0
		s.kernel.Veto(func(op *ipvs.Op) error {
			if !strings.Contains(s.recorded(), op.Service.Key.String()) {
				t.Errorf("%s while the record says %q", op.String(), s.recorded())
			}
			seen++
			return nil
		})
		s.start(wanted("web", unchecked(virtual("10", "30")), "api", virtual("11")))
		s.apply(wanted("api", unchecked(virtual("11", "31")), "new", virtual("12")))
		if seen != 6 {
			t.Errorf("%d operations, want 6", seen)
		}
		if got := s.recorded(); got != "tcp:192.0.2.11:80 tcp:192.0.2.12:80" {
			t.Errorf("recorded %q", got)
		}
	})
}

// A full disk costs the record, not the service.
func TestRecordCannotBeWritten(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		record := s.record
		s.record += ".d/ipvs"
		s.start(wanted("web", unchecked(virtual("10", "30"))))
		s.table(web, web30)
		time.Sleep(time.Minute)
		if n := s.log.count("own services cannot be recorded"); n != 1 {
			t.Errorf("said %d times", n)
		}
		if v := s.snapshot(); !strings.Contains(v.Error, "record own services") || !v.Synced {
			t.Errorf("snapshot %+v", v)
		}
		if err := os.Mkdir(record+".d", 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * defaultInterval)
		synctest.Wait()
		if got := s.recorded(); got != "tcp:192.0.2.10:80" {
			t.Errorf("recorded %q", got)
		}
		if v := s.snapshot(); v.Error != "" {
			t.Errorf("still: %s", v.Error)
		}
	})
}

func TestNothingIsDoneBeforeTheConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		text := recordTitle + "\nepoch boot/1\ntcp:192.0.2.10:80\n"
		if err := os.WriteFile(s.record, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.kernel.Put(virtual("10").Service)
		s.run()
		time.Sleep(time.Hour)
		s.did()
		s.apply(wanted("web", virtual("10")))
		s.did()
		s.apply(Wanted{})
		s.did("-D -t 192.0.2.10:80")
	})
}

func TestReplaceFileLeavesNoHalf(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/record"
	for _, text := range []string{"one\n", "two\n"} {
		if err := replaceFile(path, text); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	// A directory in its place: the rename fails, and nothing is left behind.
	if err := os.Mkdir(dir+"/taken", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(dir+"/taken", "three\n"); err == nil {
		t.Error("a directory was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := replaceFile(dir+"/none/record", "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
