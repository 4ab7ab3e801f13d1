package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace puts a file in the place of another in one step.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	rename(t, path+".new", path)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// link makes a symbolic link, in the place of one that is there.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".new"); err != nil {
		t.Fatal(err)
	}
	rename(t, path+".new", path)
}

// never is longer than any test: what happens in it was told by the kernel.
const never = 24 * time.Hour

// reportedFiles are Files that find out by events or not at all.
func reportedFiles() *Files {
	f := NewFiles()
	f.audit, f.poll = never, never
	return f
}

// polledFiles are Files to which nothing is reported.
func polledFiles() *Files {
	f := NewFiles()
	f.poll = time.Millisecond
	f.open = func() (*inotify, error) { return nil, errors.New("refused") }
	return f
}

func bothWays(t *testing.T, test func(t *testing.T, f *Files)) {
	t.Helper()
	t.Run("reported", func(t *testing.T) { test(t, reportedFiles()) })
	t.Run("polled", func(t *testing.T) { test(t, polledFiles()) })
}

func TestFileChanges(t *testing.T) {
	bothWays(t, func(t *testing.T, f *Files) {
		directory := t.TempDir()
		path := filepath.Join(directory, "value")
		f.Set([]File{{Tracker: "f", Definition: "d", Path: path}})
		start(t, f)
		s := newSight(f)
		s.await(t, "f", "up missing")
		if d := s.latest["f"].Definition; d != "d" {
			t.Errorf("definition %q", d)
		}
		write(t, path, "5\n")
		s.await(t, "f", "up 5")
		write(t, path, "6 because\n")
		s.await(t, "f", "up 6")
		replace(t, path, "-7")
		s.await(t, "f", "up -7")
		write(t, path, "no number")
		s.await(t, "f", "unknown not_a_number")
		write(t, path, "")
		s.await(t, "f", "up")
		write(t, path, "8")
		s.await(t, "f", "up 8")
		remove(t, path)
		s.await(t, "f", "up missing")
		// A link to a file that has long been written is no writing.
		write(t, path+".other", "9")
		if err := os.Link(path+".other", path); err != nil {
			t.Fatal(err)
		}
		s.await(t, "f", "up 9")
		rename(t, path, path+".gone")
		s.await(t, "f", "up missing")
		mkdir(t, path)
		s.await(t, "f", "unknown local_error")
		remove(t, path)
		write(t, path, "10")
		s.await(t, "f", "up 10")
	})
}

func TestDirectoryComesAndGoes(t *testing.T) {
	bothWays(t, func(t *testing.T, f *Files) {
		top := t.TempDir()
		directory := filepath.Join(top, "a", "b", "c")
		path := filepath.Join(directory, "value")
		f.Set([]File{{Tracker: "f", Path: path}})
		start(t, f)
		s := newSight(f)
		s.await(t, "f", "up missing")
		mkdir(t, directory)
		write(t, path, "1")
		s.await(t, "f", "up 1")
		remove(t, directory)
		s.await(t, "f", "up missing")
		mkdir(t, directory)
		write(t, path, "2")
		s.await(t, "f", "up 2")
		// Above it.
		rename(t, filepath.Join(top, "a"), filepath.Join(top, "z"))
		s.await(t, "f", "up missing")
		mkdir(t, directory)
		write(t, path, "3")
		s.await(t, "f", "up 3")
		remove(t, filepath.Join(top, "a"))
		s.await(t, "f", "up missing")
		rename(t, filepath.Join(top, "z"), filepath.Join(top, "a"))
		s.await(t, "f", "up 2")
		// What was moved away is nobody's business any more, what came is.
		remove(t, filepath.Join(top, "a"))
		write(t, filepath.Join(top, "a"), "no directory")
		s.await(t, "f", "up missing")
		remove(t, filepath.Join(top, "a"))
		mkdir(t, directory)
		write(t, path, "4")
		s.await(t, "f", "up 4")
	})
}

// A volume of Kubernetes: the file is a link through a link that is replaced.
func TestLinksAreFollowed(t *testing.T) {
	bothWays(t, func(t *testing.T, f *Files) {
		top := t.TempDir()
		version := func(n int) string {
			directory := filepath.Join(top, "volume", fmt.Sprint("..", n))
			mkdir(t, directory)
			write(t, filepath.Join(directory, "value"), strconv.Itoa(n))
			return fmt.Sprint("..", n)
		}
		data, path := filepath.Join(top, "volume", "..data"), filepath.Join(top, "volume", "value")
		link(t, version(1), data)
		link(t, filepath.Join("..data", "value"), path)
		f.Set([]File{{Tracker: "f", Path: path}})
		start(t, f)
		s := newSight(f)
		s.await(t, "f", "up 1")
		link(t, version(2), data)
		s.await(t, "f", "up 2")
		// Where the link leads now is watched as well.
		write(t, filepath.Join(top, "volume", "..2", "value"), "20")
		s.await(t, "f", "up 20")
		// An absolute one, to what is not there yet.
		link(t, filepath.Join(top, "elsewhere", "value"), path)
		s.await(t, "f", "up missing")
		mkdir(t, filepath.Join(top, "elsewhere"))
		write(t, filepath.Join(top, "elsewhere", "value"), "3")
		s.await(t, "f", "up 3")
		// In a circle.
		link(t, "value", path)
		s.await(t, "f", "unknown local_error")
		link(t, filepath.Join("..", "elsewhere", ".", "value"), path)
		s.await(t, "f", "up 3")
	})
}

func TestFilesSet(t *testing.T) {
	directory := t.TempDir()
	path := func(name string) string { return filepath.Join(directory, name) }
	write(t, path("a"), "1")
	write(t, path("b"), "2")
	f := reportedFiles()
	f.Set([]File{{Tracker: "a", Path: path("a")}, {Tracker: "b", Path: path("b")}, {Tracker: "b", Path: path("a")}})
	start(t, f)
	s := newSight(f)
	s.await(t, "a", "up 1")
	s.await(t, "b", "up 2")

	// One goes, one comes, one stays: only the one that comes is told.
	seen := len(s.trace)
	f.Set([]File{{Tracker: "b", Path: path("b")}, {Tracker: "c", Path: path("a")}})
	s.await(t, "c", "up 1")
	write(t, path("a"), "3")
	s.await(t, "c", "up 3")
	write(t, path("b"), "4")
	s.await(t, "b", "up 4")
	if got := strings.Join(s.trace[seen:], ", "); got != "c up 1, c up 3, b up 4" {
		t.Errorf("told %q", got)
	}
	// Another file for the same tracker, and none at all.
	f.Set([]File{{Tracker: "b", Path: path("a")}})
	s.await(t, "b", "up 3")
	f.Set(nil)
	f.Set([]File{{Tracker: "d", Path: path("b")}})
	s.await(t, "d", "up 4")
}

// What is on a file system without events is looked at from time to time.
func TestSilentFileSystem(t *testing.T) {
	f := NewFiles()
	f.audit, f.poll = never, time.Millisecond
	command := exec.CommandContext(t.Context(), "sleep", "600")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	path := fmt.Sprintf("/proc/%d/oom_score_adj", command.Process.Pid)
	f.Set([]File{{Tracker: "f", Path: path}})
	start(t, f)
	s := newSight(f)
	write(t, path, "400")
	s.await(t, "f", "up 400")
	write(t, path, "500")
	s.await(t, "f", "up 500")
}

// A file is believed to be blank, or gone, only after it has been for a moment.
func TestFleeting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	r := &fileRun{files: polledFiles()}
	f := &file{rule: File{Tracker: "f", Path: path}}
	now := time.Now()
	look := func(after time.Duration, want string) {
		t.Helper()
		now = now.Add(after)
		r.read(now, f)
		got := ""
		for _, e := range r.files.Next() {
			got = words(e)
		}
		if got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	look(0, "up missing") // The first time there is nothing to wait for.
	write(t, path, "5")
	look(0, "up 5")
	write(t, path, "")
	look(0, "")
	if f.due.Sub(now) != settle {
		t.Errorf("looked at again after %v, want %v", f.due.Sub(now), settle)
	}
	look(settle-1, "")
	write(t, path, "5")
	look(1, "") // As it was.
	remove(t, path)
	look(0, "")
	write(t, path, "")
	look(settle-1, "") // Gone, then blank: the same moment.
	look(1, "up")
	write(t, path, "6")
	look(0, "up 6")
	remove(t, path)
	look(0, "")
	look(settle, "up missing")
}

// Lost events make every file due, events of others make none.
func TestApply(t *testing.T) {
	now := time.Now()
	a := &file{rule: File{Tracker: "a"}, names: map[int][]string{1: {"x"}, 2: {"y"}}}
	b := &file{rule: File{Tracker: "b"}, names: map[int][]string{2: {"z"}}}
	r := &fileRun{files: NewFiles(), watched: []*file{a, b}}
	for _, row := range []struct {
		change change
		want   string
	}{
		{change{1, unix.IN_CLOSE_WRITE, "x"}, "a"},
		{change{1, unix.IN_CLOSE_WRITE, "y"}, ""},
		{change{3, unix.IN_CLOSE_WRITE, "x"}, ""},
		{change{2, unix.IN_MOVED_TO, "z"}, "b"},
		{change{2, unix.IN_DELETE_SELF, ""}, "ab"},
		{change{-1, unix.IN_Q_OVERFLOW, ""}, "ab"},
		{change{2, unix.IN_IGNORED, ""}, "ab"},
		{change{2, unix.IN_MOVED_TO, "z"}, ""}, // Not that directory's number any more.
	} {
		a.due, b.due = now.Add(never), now.Add(never)
		r.apply(now, []change{row.change})
		var got []string
		for _, f := range r.watched {
			if !f.due.After(now) {
				got = append(got, f.rule.Tracker)
			}
		}
		if strings.Join(got, "") != row.want {
			t.Errorf("%+v concerns %q, want %q", row.change, got, row.want)
		}
	}
	// Not more often than that.
	a.looked, a.due = now, now.Add(never)
	r.apply(now, []change{{1, unix.IN_CLOSE_WRITE, "x"}})
	if a.due.Sub(now) != spacing {
		t.Errorf("looked at after %v, want %v", a.due.Sub(now), spacing)
	}
}

// The kernel's own word for lost events reaches the batch.
func TestOverflow(t *testing.T) {
	directory := t.TempDir()
	i, err := openInotify()
	if err != nil {
		t.Fatal(err)
	}
	defer i.close()
	if _, err := i.add(directory, contentMask); err != nil {
		t.Fatal(err)
	}
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	most, err := ParseValue(string(limit))
	if err != nil || most > 1<<20 {
		t.Skipf("the queue holds %d events", most)
	}
	paths := [2]string{filepath.Join(directory, "a"), filepath.Join(directory, "b")}
	for _, path := range paths {
		write(t, path, "")
	}
	// Two files in turn, since equal events one after the other are one.
	for n := range most + 8<<10 {
		if err := os.Chmod(paths[n%2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for timeout := time.After(patience); ; {
		select {
		case batch := <-i.c:
			for _, c := range batch {
				if c.mask&unix.IN_Q_OVERFLOW != 0 {
					return
				}
			}
		case <-timeout:
			t.Fatal("no overflow was told")
		}
	}
}

// watches counts the watches of this process's inotify descriptors.
func watches(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fdinfo")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, e := range entries {
		text, _ := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		count += strings.Count(string(text), "inotify wd:")
	}
	return count
}

// Directories that do not matter any more are not watched any more.
func TestWatchesDoNotPileUp(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "now", "value")
	f := reportedFiles()
	f.Set([]File{{Tracker: "f", Path: path}, {Tracker: "g", Path: filepath.Join(top, "other")}})
	start(t, f)
	s := newSight(f)
	round := func(n int) {
		t.Helper()
		directory := filepath.Join(top, fmt.Sprint("version", n))
		mkdir(t, directory)
		write(t, filepath.Join(directory, "value"), strconv.Itoa(n))
		link(t, directory, filepath.Join(top, "now"))
		s.await(t, "f", fmt.Sprint("up ", n))
	}
	round(1)
	round(2)
	before := watches(t)
	for n := range 100 {
		round(n + 3)
	}
	if after := watches(t); after != before {
		t.Errorf("%d watches, then %d", before, after)
	}
}

func TestFilesLeakNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	write(t, path, "1")
	rounds(t, func(ctx context.Context) {
		f := reportedFiles()
		f.Set([]File{{Tracker: "f", Path: path}})
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { _ = f.Run(ctx) })
		newSight(f).await(t, "f", "up 1")
		cancel()
		running.Wait()
	})
}

func TestParseChanges(t *testing.T) {
	event := func(length uint32, name string) []byte {
		b := []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, byte(length), byte(length >> 8), 0, 0}
		return append(b, name...)
	}
	two := append(event(8, "value\x00\x00\x00"), event(0, "")...)
	if got := fmt.Sprint(parseChanges(two)); got != "[{1 2 value} {1 2 }]" {
		t.Error(got)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "half": two[:10], "a name beyond the end": event(9, "value\x00\x00\x00"),
	} {
		if got := parseChanges(b); len(got) != 0 {
			t.Errorf("%s gives %v", name, got)
		}
	}
}
