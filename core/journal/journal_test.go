package journal_test

import (
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/journal"
)

func word(n uint64) string { return strconv.FormatUint(n, 10) }

// named is an event whose object has the number for a name.
func named(n uint64) journal.Event {
	return journal.Event{Kind: journal.State, Object: journal.Object{Type: journal.Instance, Name: word(n)}}
}

func wantPage(t *testing.T, p journal.Page, first uint64, n int, lost, last uint64) {
	t.Helper()
	if len(p.Events) != n || p.Lost != lost || p.Last != last {
		t.Errorf("%d events, %d lost, the last is %d; want %d, %d, %d", len(p.Events), p.Lost, p.Last, n, lost, last)
	}
	for i, e := range p.Events {
		if e.Number != first+uint64(i) || e.Name != word(e.Number) {
			t.Errorf("number %d, %q at place %d behind %d", e.Number, e.Name, i, first)
		}
	}
}

func TestOldestGiveWay(t *testing.T) {
	j := journal.New(time.Now(), 4)
	wantPage(t, j.After(0, 10), 1, 0, 0, 0)
	wantPage(t, j.After(99, 10), 1, 0, 0, 0)
	for i := range uint64(4) {
		j.Record(named(i + 1))
	}
	wantPage(t, j.After(0, 10), 1, 4, 0, 4)
	wantPage(t, j.After(0, 3), 1, 3, 0, 4)
	wantPage(t, j.After(3, 10), 4, 1, 0, 4)
	wantPage(t, j.After(4, 10), 5, 0, 0, 4)
	for i := range uint64(3) {
		j.Record(named(i + 5))
	}
	wantPage(t, j.After(0, 10), 4, 4, 3, 7)
	wantPage(t, j.After(2, 10), 4, 4, 1, 7)
	wantPage(t, j.After(3, 10), 4, 4, 0, 7)
	wantPage(t, j.After(5, 1), 6, 1, 0, 7)
	wantPage(t, j.After(7, 10), 8, 0, 0, 7)
	// A number from another life of the daemon.
	wantPage(t, j.After(1000, 10), 8, 0, 0, 7)
	if kept, last := j.Kept(); kept != 4 || last != 7 {
		t.Errorf("keeps %d up to %d", kept, last)
	}
}

// A nil journal is one that nobody is interested in.
func TestNoJournal(*testing.T) {
	var j *journal.Journal
	j.Record(named(1))
}

// A reader who waits is told of what comes, of the end, and of nothing else.
func TestReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(time.Now(), 8)
		p := j.After(0, 10)
		woken := false
		go func() { <-p.Changed; woken = true }()
		synctest.Wait()
		if p.Changed == nil || woken {
			t.Fatal("an empty journal has something to tell")
		}
		time.Sleep(time.Second)
		j.Record(named(1))
		synctest.Wait()
		if !woken {
			t.Fatal("the reader was not told")
		}
		p = j.After(0, 10)
		wantPage(t, p, 1, 1, 0, 1)
		if age := time.Since(p.Events[0].Time); age != 0 {
			t.Errorf("recorded %v ago", age)
		}
		at := time.Now().Add(-time.Minute)
		j.Record(journal.Event{Object: journal.Object{Name: "2"}, Time: at})
		if p := j.After(1, 1); !p.Events[0].Time.Equal(at) || p.Changed == nil || p.Ended {
			t.Errorf("%+v", p)
		}
		j.Record(named(3))
		if p := j.After(0, 2); p.Changed != nil || p.Ended {
			t.Error("there is more, and the reader would wait")
		}
		p = j.After(3, 10)
		ended := false
		go func() { <-p.Changed; ended = j.After(3, 10).Ended }()
		j.Close()
		synctest.Wait()
		if !ended {
			t.Error("the end was not told")
		}
		j.Record(named(4))
		if p := j.After(1, 1); p.Ended || len(p.Events) != 1 {
			t.Errorf("in the middle: %+v", p)
		}
		if p := j.After(2, 10); !p.Ended || len(p.Events) != 1 || p.Last != 3 {
			t.Errorf("at the end: %+v", p)
		}
	})
}

// Whatever is recorded and whenever it is read: a reader gets every event once, in
// order, or is told how many he has missed.
func TestNothingGoesUnnoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := journal.New(time.Time{}, rapid.IntRange(1, 9).Draw(t, "limit"))
		var recorded, read uint64
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "record") {
				recorded++
				j.Record(named(recorded))
				continue
			}
			p := j.After(read, rapid.IntRange(1, 5).Draw(t, "most"))
			read += p.Lost
			for _, e := range p.Events {
				read++
				if e.Number != read || e.Name != word(read) {
					t.Fatalf("event %d, %q, in place of %d", e.Number, e.Name, read)
				}
			}
			if p.Last != recorded || (p.Changed == nil) != (read < recorded) {
				t.Fatalf("the last is %d of %d, read up to %d, waits: %t", p.Last, recorded, read, p.Changed != nil)
			}
		}
	})
}

// Many who record and many who read: the order of each who records is kept, and
// numbers have no gaps.
func TestFromManyGoroutines(t *testing.T) {
	const writers, events = 8, 500
	j := journal.New(time.Now(), writers*events)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range events {
				j.Record(journal.Event{Object: journal.Object{Type: journal.Tracker, Name: strconv.Itoa(w)}, To: strconv.Itoa(i)})
			}
		})
	}
	for range 3 {
		all.Go(func() {
			var number uint64
			for seen := map[string]int{}; number < writers*events; {
				p := j.After(number, 100)
				for _, e := range p.Events {
					if number++; e.Number != number || e.To != strconv.Itoa(seen[e.Name]) {
						t.Errorf("%d, %s of %s in place of %d, %d", e.Number, e.To, e.Name, number, seen[e.Name])
						return
					}
					seen[e.Name]++
				}
				if p.Changed != nil && number < writers*events {
					<-p.Changed
				}
			}
		})
	}
	all.Wait()
}

// To record costs next to nothing, be anybody waiting or not.
func TestRecordDoesNotAllocate(t *testing.T) {
	j := journal.New(time.Now(), 16)
	e := named(1)
	for range 32 {
		j.Record(e)
	}
	if n := testing.AllocsPerRun(100, func() { j.Record(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestInWords(t *testing.T) {
	three, yes, no := 3, true, false
	for want, e := range map[string]journal.Event{
		"vrrp_instance VI_1 state backup -> active (active_down) priority 150 peer 192.0.2.2": {
			Kind: journal.State, Object: journal.Object{Type: journal.Instance, Name: "VI_1"},
			From: "backup", To: "active", Reason: "active_down", Priority: 150, Peer: "192.0.2.2",
		},
		"vrrp_instance VI_1 state backup -> fault (link_down,tracker) priority 150: nginx": {
			Kind: journal.State, Object: journal.Object{Type: journal.Instance, Name: "VI_1"},
			From: "backup", To: "fault", Reason: "link_down", Faults: []string{"link_down", "tracker"}, Priority: 150, Detail: "nginx",
		},
		"real_server web 192.0.2.30:80 state up -> down (refused) weight 3 out of service": {
			Kind: journal.State, Object: journal.Object{Type: journal.RealServer, Name: "192.0.2.30:80", Of: "web"},
			From: "up", To: "down", Reason: "refused", Weight: &three, InService: &no,
		},
		"real_server web 192.0.2.30:80 state up in service": {
			Kind: journal.State, Object: journal.Object{Type: journal.RealServer, Name: "192.0.2.30:80", Of: "web"}, To: "up", InService: &yes,
		},
		"halo reload refused: halo.toml:7:1": {Kind: journal.Reload, Object: journal.Object{Type: journal.Halo}, To: "refused", Detail: "halo.toml:7:1"},
		"plugin halo-check-tcp as nobody state running -> backoff: killed by SIGKILL": {
			Kind: journal.State, Object: journal.Object{Type: journal.Plugin, Name: "halo-check-tcp", Of: "nobody"}, From: "running", To: "backoff", Detail: "killed by SIGKILL",
		},
		"vrrp_instance VI_1 removed": {Kind: journal.Removed, Object: journal.Object{Type: journal.Instance, Name: "VI_1"}},
	} {
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The JSON is an interface: what is not there is left out, and zero is a weight.
func TestJSON(t *testing.T) {
	zero, no := 0, false
	e := journal.Event{
		Number: 7, Time: time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC), Kind: journal.State,
		Object: journal.Object{Type: journal.RealServer, Name: "192.0.2.30:80", Of: "web"}, From: "up", To: "down", Weight: &zero, InService: &no,
	}
	got, err := json.Marshal(e)
	const want = `{"number":7,"time":"2026-01-02T03:04:05.6Z","kind":"state","type":"real_server","name":"192.0.2.30:80","of":"web","from":"up","to":"down","weight":0,"in_service":false}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
