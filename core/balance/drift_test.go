package balance

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

func TestDriftOfEveryKind(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		c := unchecked(virtual("10", "30", "31"))
		s.start(wanted("web", c, "api", virtual("11")))
		service := s.b.services["web"].applied
		destination := func(host string, weight uint32) ipvs.Destination {
			return ipvs.Destination{Address: addr(host), Weight: weight}
		}
		edited := service
		edited.Scheduler = "lc"
		s.kernel.Outside(
			ipvs.Op{Verb: ipvs.EditService, Service: edited},
			ipvs.Op{Verb: ipvs.EditDestination, Service: service, Destination: destination("30", 50)},
			ipvs.Op{Verb: ipvs.DeleteDestination, Service: service, Destination: destination("31", 1)},
			ipvs.Op{Verb: ipvs.AddDestination, Service: service, Destination: destination("77", 3)},
			ipvs.Op{Verb: ipvs.DeleteService, Service: s.b.services["api"].applied},
		)
		before := s.kernel.String()
		s.kernel.Log()
		time.Sleep(defaultInterval)
		synctest.Wait()
		if s.kernel.String() == before {
			t.Fatal("nothing was repaired")
		}
		s.table(web, web30, web31, "-A -t 192.0.2.11:80 -s wrr")
		drifts := s.seen.driftsSoFar()
		if len(drifts) != 1 || drifts[0].Total != 5 {
			t.Fatalf("drifts %+v", drifts)
		}
		got := drifts[0].Changes
		slices.SortFunc(got, func(a, b DriftChange) int {
			return slices.Compare([]string{a.Service, a.What}, []string{b.Service, b.What})
		})
		want := []DriftChange{
			{"api", "service removed", "tcp:192.0.2.11:80", "-s wrr", ""},
			{"web", "destination added", "192.0.2.77:80", "", "-m -w 3"},
			{"web", "destination changed", "192.0.2.30:80", "-m -w 1", "-m -w 50"},
			{"web", "destination removed", "192.0.2.31:80", "-m -w 1", ""},
			{"web", "service changed", "tcp:192.0.2.10:80", "-s wrr", "-s lc"},
		}
		if !slices.Equal(got, want) {
			t.Errorf("changes\n%+v\nwant\n%+v", got, want)
		}
		if v := s.snapshot(); v.Drifts != 5 {
			t.Errorf("counted %d", v.Drifts)
		}
	})
}

// R11: everything is flushed; all is back within the interval, with one report.
func TestFlushIsRepaired(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		w := Wanted{Services: map[string]pool.Config{}, Interval: 2 * time.Second}
		for i := range 30 {
			w.Services[fmt.Sprint("s", i)] = unchecked(virtual(fmt.Sprintf("198.51.100.%d:80", i), "30", "31"))
		}
		s.start(w)
		before := s.kernel.String()
		s.kernel.Flush()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s.kernel.String() != before {
			t.Errorf("the table is\n%s", s.kernel)
		}
		drifts := s.seen.driftsSoFar()
		if len(drifts) != 1 || drifts[0].Total != 30 || len(drifts[0].Changes) != maxDriftChanges {
			t.Errorf("drifts %+v", drifts)
		}
	})
}

// Somebody who keeps at it is repaired each time and reported now and then.
func TestDriftReportsAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		w := wanted("web", unchecked(virtual("10", "30")))
		w.Interval = time.Second
		s.start(w)
		total := 0
		for range 60 {
			s.kernel.Flush()
			time.Sleep(time.Second)
			synctest.Wait()
			s.table(web, web30)
		}
		time.Sleep(driftPause + time.Second)
		synctest.Wait()
		drifts := s.seen.driftsSoFar()
		for _, d := range drifts {
			total += d.Total
		}
		if len(drifts) > 7 || total != 60 {
			t.Errorf("%d reports of %d drifts", len(drifts), total)
		}
	})
}

// A change of ours that meets somebody else's is one, too.
func TestDriftFoundByAChange(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start(wanted("web", virtual("10", "30", "31"), "api", virtual("11"), "more", virtual("12")))
		s.up("web", "30")
		s.kernel.Outside(ipvs.Op{Verb: ipvs.DeleteService, Service: s.b.services["web"].applied})
		s.up("web", "31")
		s.table(web, web30, web31, "-A -t 192.0.2.11:80 -s wrr", "-A -t 192.0.2.12:80 -s wrr")
		if drifts := s.seen.driftsSoFar(); len(drifts) != 1 || drifts[0].Changes[0].What != "service removed" {
			t.Errorf("drifts %+v", drifts)
		}
		// What somebody did that we were about to do is no drift.
		s.kernel.Outside(ipvs.Op{Verb: ipvs.DeleteDestination, Service: s.b.services["web"].applied, Destination: ipvs.Destination{Address: addr("30")}})
		s.down("web", "30")
		time.Sleep(driftPause)
		synctest.Wait()
		if drifts := s.seen.driftsSoFar(); len(drifts) != 1 {
			t.Errorf("drifts %+v", drifts)
		}
	})
}
