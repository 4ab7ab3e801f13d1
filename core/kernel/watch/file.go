package watch

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// settle is how long a file has to be missing or blank before it counts as 0.
// Who rewrites a file in place makes it blank first, and some editors move it
// away; without this each such moment would move priorities.
const settle = 20 * time.Millisecond

// spacing is the least time between two looks at a file, whatever happens to it.
const spacing = 5 * time.Millisecond

// File is one tracked file.
type File struct {
	Tracker, Definition string
	// Path is absolute. Neither the file nor its directory has to exist.
	Path string
}

// Files reads tracked files when they change. Make it with NewFiles.
type Files struct {
	outbox
	wanted inbox[File]
	// Of a test that does not want to wait.
	audit, poll time.Duration
	open        func() (*inotify, error)
}

// NewFiles returns Files that watch nothing yet and hold no descriptor.
func NewFiles() *Files {
	return &Files{
		outbox: newOutbox(), wanted: newInbox[File](),
		audit: auditInterval, poll: pollInterval, open: openInotify,
	}
}

// Set replaces what is watched. What stays the same is not looked at again;
// everything else is observed at once, whatever it is. Of two files of one
// tracker the first counts.
func (f *Files) Set(files []File) { f.wanted.put(files) }

// Run watches until ctx ends, and then returns nil.
func (f *Files) Run(ctx context.Context) error {
	r := &fileRun{files: f}
	defer r.close()
	timer := time.NewTimer(f.audit)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wanted.changed:
			r.configure(f.wanted.take())
		case batch := <-r.changes():
			r.apply(time.Now(), batch)
		case <-timer.C:
		}
		timer.Reset(r.look())
	}
}

// fileRun is what Run knows.
type fileRun struct {
	files   *Files
	inotify *inotify // nil while nothing is watched, or nothing can be
	watched []*file
}

// file is the state of one tracked file.
type file struct {
	rule File
	last last
	// names are the entries that matter, by watch.
	names map[int][]string
	// looked is when it was read last, and due when it is to be read again.
	looked, due time.Time
	// fleeting is since when it is missing or blank; zero when it is not.
	fleeting time.Time
	// blind says that changes of it are not reported.
	blind bool
}

func (r *fileRun) changes() <-chan []change {
	if r.inotify == nil {
		return nil
	}
	return r.inotify.c
}

func (r *fileRun) close() {
	if r.inotify != nil {
		r.inotify.close()
		r.inotify = nil
	}
}

// configure takes over what is wanted. Files that are the same keep their state.
func (r *fileRun) configure(wanted []File) {
	old := r.watched
	r.watched = nil
	for _, rule := range wanted {
		named := func(f *file) bool { return f.rule.Tracker == rule.Tracker }
		if slices.ContainsFunc(r.watched, named) {
			continue
		}
		f := &file{rule: rule}
		if n := slices.IndexFunc(old, named); n >= 0 && old[n].rule == rule {
			f = old[n]
		}
		r.watched = append(r.watched, f)
	}
	if len(r.watched) == 0 {
		r.close()
		return
	}
	if r.inotify == nil {
		// Without it everything is looked at from time to time; the next
		// audit tries again.
		r.inotify, _ = r.files.open()
	}
	for _, f := range old {
		r.forget(f.names)
	}
}

// apply marks the files that a batch of changes is about.
func (r *fileRun) apply(now time.Time, batch []change) {
	for _, c := range batch {
		for _, f := range r.watched {
			names, concerned := f.names[c.wd]
			switch {
			case c.mask&unix.IN_Q_OVERFLOW != 0:
			case concerned && (c.name == "" || slices.Contains(names, c.name)):
			default:
				continue
			}
			if soon := later(now, f.looked.Add(spacing)); f.due.After(soon) {
				f.due = soon
			}
			if c.mask&unix.IN_IGNORED != 0 {
				delete(f.names, c.wd) // The number may be given to another directory.
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// look reads the files that are due, and returns how long to wait for the next.
func (r *fileRun) look() time.Duration {
	wait := r.files.audit
	for _, f := range r.watched {
		now := time.Now()
		if !f.due.After(now) {
			if r.inotify == nil {
				r.inotify, _ = r.files.open()
			}
			r.read(now, f)
		}
		wait = min(wait, time.Until(f.due))
	}
	return max(wait, 0)
}

// read looks at one file and puts out what is new.
func (r *fileRun) read(now time.Time, f *file) {
	r.place(f)
	found := readContent(f.rule.Path)
	f.looked, f.due = now, now.Add(r.files.audit)
	if f.blind {
		f.due = now.Add(r.files.poll)
	}
	switch {
	case !found.fleeting:
		f.fleeting = time.Time{}
	case f.fleeting.IsZero():
		f.fleeting = now
	}
	if found.fleeting && f.last.put && now.Sub(f.fleeting) < settle {
		f.due = f.fleeting.Add(settle)
		return
	}
	e := found.Observed
	e.Tracker, e.Definition = f.rule.Tracker, f.rule.Definition
	f.last.tell(&r.files.outbox, e)
}

// place watches the directories that the path leads through at the moment, and
// no others.
func (r *fileRun) place(f *file) {
	before := f.names
	f.names, f.blind = make(map[int][]string), r.inotify == nil
	path, err := filepath.Abs(f.rule.Path)
	if err != nil || f.blind {
		f.blind = true
		return
	}
	reached := walk(path, func(directory string, mask uint32, name string) {
		wd, err := r.inotify.add(directory, mask)
		if err != nil {
			f.blind = true
			return
		}
		if !slices.Contains(f.names[wd], name) {
			f.names[wd] = append(f.names[wd], name)
		}
	})
	f.blind = f.blind || silent(reached)
	r.forget(before)
}

// forget ends the watches among these that no file needs any more.
func (r *fileRun) forget(watches map[int][]string) {
	if r.inotify == nil {
		return
	}
	for wd := range watches {
		needed := slices.ContainsFunc(r.watched, func(f *file) bool { return f.names[wd] != nil })
		if !needed {
			r.inotify.remove(wd)
		}
	}
}
