package balancing

import (
	"maps"
	"strings"
	"time"
)

// watcher asserts that the table does not change for a while.
type watcher struct {
	site  *site
	end   chan struct{}
	ended chan []map[string]int // tables that differed, newest last
}

// watchTable looks at the table over and over until stop.
func (s *site) watchTable(want map[string]int) *watcher {
	return s.watchTableEvery(2*time.Millisecond, want)
}

// watchTableEvery is watchTable with a pause between looks, for a watch so long
// that it would starve what is watched: each look is a process.
func (s *site) watchTableEvery(pause time.Duration, want map[string]int) *watcher {
	w := &watcher{site: s, end: make(chan struct{}), ended: make(chan []map[string]int, 1)}
	go func() {
		var different []map[string]int
		for {
			select {
			case <-w.end:
				w.ended <- different
				return
			case <-time.After(pause):
				if got, err := s.readTable(); err != nil || !maps.Equal(got, want) {
					different = append(different, got)
				}
			}
		}
	}()
	return w
}

// stop ends the watch and reports every table that was not the wanted one.
func (w *watcher) stop(when string) {
	w.site.t.Helper()
	close(w.end)
	if different := <-w.ended; len(different) > 0 {
		w.site.t.Errorf("the table changed %s: %d times, at last %v", when, len(different), different[len(different)-1])
	}
}

// healthy counts the servers of the service whose checks are all up by a
// result of this daemon.
func (s *site) healthy() int {
	s.t.Helper()
	n := 0
	for _, r := range s.halo.Status(s.t).VirtualServers["web"].RealServers {
		if r.State == "up" && len(r.Checks) > 0 && r.Checks[0].State == "up" && r.Checks[0].Age >= 0 {
			n++
		}
	}
	return n
}

// foreign adds a service that is not halo's.
func (s *site) foreign() {
	s.t.Helper()
	for _, args := range []string{"-A -t 192.0.2.99:99 -s rr", "-a -t 192.0.2.99:99 -r 198.51.100.77:99 -m -w 5"} {
		if out, err := s.lb.Output("ipvsadm", strings.Fields(args)...); err != nil {
			s.t.Fatalf("ipvsadm %s: %v\n%s", args, err, out)
		}
	}
}

// foreignIsThere asserts that somebody else's service was not touched.
func (s *site) foreignIsThere() {
	s.t.Helper()
	out, err := s.lb.Output("ipvsadm", "-Sn")
	if err != nil || !strings.Contains(out, "-a -t 192.0.2.99:99 -r 198.51.100.77:99 -m -w 5") {
		s.t.Errorf("somebody else's service was touched: %v\n%s", err, out)
	}
}
