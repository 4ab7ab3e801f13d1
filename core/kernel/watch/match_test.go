package watch

import (
	"math"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/track"
)

func TestMatches(t *testing.T) {
	nginx := process{
		comm:    "nginx",
		command: func() []byte { return []byte("/usr/sbin/nginx\x00-g\x00daemon off;\x00") },
		file:    func() string { return "/usr/sbin/nginx-1.2" },
	}
	bare := process{
		comm:    "averylongprogra",
		command: func() []byte { return []byte("averylongprogram\x00") },
		file:    func() string { return "" },
	}
	thread := process{comm: "kworker/0:1", command: func() []byte { return nil }, file: func() string { return "" }}
	titled := process{comm: "sshd", command: func() []byte { return []byte("sshd: root@pts/0") }, file: func() string { return "" }}
	for _, row := range []struct {
		name string
		rule Process
		o    process
		want bool
	}{
		{"name", Process{Name: "nginx"}, nginx, true},
		{"part of a name", Process{Name: "ngin"}, nginx, false},
		{"path it was called by", Process{Name: "/usr/sbin/nginx"}, nginx, true},
		{"path of its file", Process{Name: "/usr/sbin/nginx-1.2"}, nginx, true},
		{"another path", Process{Name: "/sbin/nginx"}, nginx, false},
		{"file unknown", Process{Name: "/usr/sbin/x"}, bare, false},
		{"as it was called", Process{Name: "nginx", FullCommand: true}, nginx, true},
		{"as it was called, cut off", Process{Name: "averylongprogra", FullCommand: true}, bare, false},
		{"long name", Process{Name: "averylongprogram"}, bare, true},
		{"longer name", Process{Name: "averylongprogramme"}, bare, false},
		{"long name, cut off", Process{Name: "averylongprogra"}, bare, true},
		{"kernel thread", Process{Name: "kworker/0:1"}, thread, false}, // It looks like a path.
		{"nothing to compare", Process{Name: "x", FullCommand: true}, thread, false},

		{"any arguments", Process{Name: "nginx", Wanted: []string{"x"}}, nginx, true},
		{"exactly", Process{Name: "nginx", Arguments: ExactArguments, Wanted: []string{"-g", "daemon off;"}}, nginx, true},
		{"fewer than exactly", Process{Name: "nginx", Arguments: ExactArguments, Wanted: []string{"-g"}}, nginx, false},
		{"more than exactly", Process{Name: "nginx", Arguments: ExactArguments, Wanted: []string{"-g", "daemon off;", "x"}}, nginx, false},
		{"none exactly", Process{Name: "nginx", Arguments: ExactArguments}, nginx, false},
		{"none, and it has none", Process{Name: "averylongprogram", Arguments: ExactArguments}, bare, true},
		{"first", Process{Name: "nginx", Arguments: FirstArguments, Wanted: []string{"-g"}}, nginx, true},
		{"first none", Process{Name: "nginx", Arguments: FirstArguments}, nginx, true},
		{"first, part of the last", Process{Name: "nginx", Arguments: FirstArguments, Wanted: []string{"-g", "daemon"}}, nginx, false},
		{"not the first", Process{Name: "nginx", Arguments: FirstArguments, Wanted: []string{"daemon off;"}}, nginx, false},
		{"initial", Process{Name: "nginx", Arguments: InitialArguments, Wanted: []string{"-g", "daemon"}}, nginx, true},
		{"initial, others follow", Process{Name: "nginx", Arguments: InitialArguments, Wanted: []string{"-"}}, nginx, true},
		{"initial none", Process{Name: "averylongprogram", Arguments: InitialArguments}, bare, true},
		{"initial, different", Process{Name: "nginx", Arguments: InitialArguments, Wanted: []string{"-g", "x"}}, nginx, false},
		{"boundaries count", Process{Name: "nginx", Arguments: ExactArguments, Wanted: []string{"-g daemon off;"}}, nginx, false},
		{"another name with the arguments", Process{Name: "httpd", Arguments: FirstArguments, Wanted: []string{"-g"}}, nginx, false},
		{"title written over", Process{Name: "sshd", Arguments: ExactArguments}, titled, true},
	} {
		if got := row.rule.matches(&row.o); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

func TestProcessEqual(t *testing.T) {
	base := func() Process {
		return Process{Tracker: "p", Definition: "d", Name: "n", Arguments: ExactArguments, Wanted: []string{"a"}, Quorum: 1, Most: 2, Limited: true}
	}
	a, b := base(), base()
	if !a.equal(&b) {
		t.Error("two of the same differ")
	}
	for n, change := range []func(p *Process){
		func(p *Process) { p.Tracker = "x" },
		func(p *Process) { p.Definition = "x" },
		func(p *Process) { p.Name = "x" },
		func(p *Process) { p.FullCommand = true },
		func(p *Process) { p.Arguments = FirstArguments },
		func(p *Process) { p.Wanted = []string{"b"} },
		func(p *Process) { p.Quorum = 0 },
		func(p *Process) { p.Most = 3 },
		func(p *Process) { p.Limited = false },
		func(p *Process) { p.Delay = 1 },
		func(p *Process) { p.TerminateDelay = 1 },
	} {
		b := base()
		if change(&b); a.equal(&b) {
			t.Errorf("change %d is not seen", n)
		}
	}
}

func TestEnough(t *testing.T) {
	for _, row := range []struct {
		rule Process
		want string // for 0, 1, 2, 3 processes
	}{
		{Process{Quorum: 1}, "nyyy"},
		{Process{Quorum: 2}, "nnyy"},
		{Process{}, "yyyy"},
		{Process{Limited: true}, "ynnn"},
		{Process{Quorum: 1, Most: 2, Limited: true}, "nyyn"},
		{Process{Quorum: 2, Most: 1, Limited: true}, "nnnn"},
		{Process{Most: math.MaxInt, Limited: true}, "yyyy"},
	} {
		got := make([]byte, 4)
		for count := range got {
			got[count] = map[bool]byte{true: 'y', false: 'n'}[row.rule.enough(count)]
		}
		if string(got) != row.want {
			t.Errorf("%+v: %s, want %s", row.rule, got, row.want)
		}
	}
}

// TestReview is a table of counts at times, with 10 seconds of delay for what
// new processes change and 100 for ended ones.
func TestReview(t *testing.T) {
	type step struct {
		at, count int
		want      string
	}
	rule := Process{Quorum: 2, Most: 3, Limited: true, Delay: 10 * time.Second, TerminateDelay: 100 * time.Second}
	for name, steps := range map[string][]step{
		"nothing there": {{0, 0, "down too_few"}, {1000, 0, "down too_few"}},
		"all there":     {{0, 2, "up"}},
		"too many":      {{0, 4, "down too_many"}},
		"come up": {
			{0, 0, "down too_few"}, {1, 1, "down too_few"}, {2, 2, "down too_few"}, {11, 2, "down too_few"}, {12, 2, "up"},
		},
		"come up, and go": {
			{0, 0, "down too_few"},
			{1, 2, "down too_few"},
			{5, 1, "down too_few"},
			{100, 1, "down too_few"},
			{101, 2, "down too_few"},
			{110, 2, "down too_few"},
			{111, 3, "up"},
		},
		"end": {{0, 2, "up"}, {1, 1, "up"}, {100, 0, "up"}, {101, 0, "down too_few"}},
		"end, and come back": {
			{0, 2, "up"}, {1, 1, "up"}, {100, 2, "up"}, {102, 1, "up"}, {201, 1, "up"}, {202, 1, "down too_few"},
		},
		"fork too many":      {{0, 3, "up"}, {1, 4, "up"}, {10, 5, "up"}, {11, 5, "down too_many"}},
		"fork, and end":      {{0, 3, "up"}, {1, 4, "up"}, {5, 3, "up"}, {1000, 3, "up"}},
		"too many no longer": {{0, 4, "down too_many"}, {1, 3, "down too_many"}, {100, 3, "down too_many"}, {101, 2, "up"}},
		"from few to many at once": {
			{0, 1, "down too_few"}, {1, 4, "down too_many"}, {1000, 4, "down too_many"},
		},
	} {
		c := newCounted(rule)
		start := time.Now()
		shown := ""
		for _, s := range steps {
			clear(c.members)
			for pid := range s.count {
				c.members[pid] = struct{}{}
			}
			c.review(start.Add(time.Duration(s.at) * time.Second))
			if c.pending.IsZero() {
				shown = words(c.observed())
			}
			if shown != s.want {
				t.Errorf("%s, second %d with %d: %s, want %s", name, s.at, s.count, shown, s.want)
			}
		}
	}
	// Without delays a change is told at once.
	c := newCounted(Process{Quorum: 1})
	c.review(time.Now())
	c.members[1] = struct{}{}
	if c.review(time.Now()); c.verdict != track.Up || !c.pending.IsZero() {
		t.Errorf("%v, pending %v", c.verdict, c.pending)
	}
}
