package script_test

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
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/script"
)

func TestExitCodes(t *testing.T) {
	s := runner(t).Script()
	for _, code := range []int{0, 1, 2, 126, 127, 255} {
		ended, err := run(t, s, fmt.Sprintf("exit %d", code))
		if err != nil || ended.Code != code || ended.Signal != 0 || ended.Took <= 0 {
			t.Errorf("exit %d: %+v, %v", code, ended, err)
		}
	}
}

func TestSignal(t *testing.T) {
	ended, err := run(t, runner(t).Script(), "kill -SEGV $$")
	if err != nil || ended.Code != -1 || ended.Signal != syscall.SIGSEGV {
		t.Errorf("%+v, %v; want a segmentation fault", ended, err)
	}
}

func TestArgumentsAreNotInterpreted(t *testing.T) {
	ended, err := run(t, runner(t).Script(), `printf '%s|' "$@"`, "a b", "$(id)", "", "*")
	if err != nil || string(ended.Output) != "a b|$(id)||*|" {
		t.Errorf("%q, %v", ended.Output, err)
	}
}

// TestOutput proves what is kept, and that what is not kept is read all the
// same: the script's exit code comes after its last write.
func TestOutput(t *testing.T) {
	s := runner(t).Script()
	tests := map[string]struct{ script, output string }{
		"nothing":      {"exit 3", ""},
		"both streams": {"echo one; echo two >&2; echo three; exit 3", "one\ntwo\nthree\n"},
		"long":         {"i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 3", ""},
		"no newline":   {"printf half; exit 3", "half"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ended, err := run(t, s, test.script)
			if err != nil || ended.Code != 3 {
				t.Fatalf("%+v, %v", ended, err)
			}
			if name == "long" {
				if len(ended.Output) != script.OutputLimit || !strings.HasPrefix(string(ended.Output), "0123456789") {
					t.Errorf("kept %d bytes, want %d", len(ended.Output), script.OutputLimit)
				}
				return
			}
			if string(ended.Output) != test.output {
				t.Errorf("output %q, want %q", ended.Output, test.output)
			}
		})
	}
}

// TestFloodEnds runs a script that prints until it is stopped.
func TestFloodEnds(t *testing.T) {
	ended, err := runWithin(t, runner(t).Script(), 300*time.Millisecond, "exec yes flood")
	wantDeadline(t, err)
	if len(ended.Output) != script.OutputLimit {
		t.Errorf("kept %d bytes, want %d", len(ended.Output), script.OutputLimit)
	}
}

// TestSurroundings looks at what a script finds: group, directory, input,
// descriptors, signals, environment.
func TestSurroundings(t *testing.T) {
	// One that this process inherited, so to say: not marked close-on-exec.
	fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	t.Setenv("LD_PRELOAD_TEST", "x")
	t.Setenv("IFS", "x")
	t.Setenv("KEPT", "kept")
	ended, err := run(t, runner(t).Script(), `
echo "dir $(pwd)"
echo "group $(($(ps -o pgid= -p $$) - $$))"
echo "input $(readlink /proc/$$/fd/0)"
ls /proc/$$/fd
grep -E 'Sig(Ign|Blk)' /proc/$$/status | tr -d '\t'
echo "env ${LD_PRELOAD_TEST-none} ${KEPT-none}"`)
	if err != nil || ended.Code != 0 {
		t.Fatalf("%+v, %v", ended, err)
	}
	// 10 is where the shell itself keeps the script.
	want := "dir /\ngroup 0\ninput /dev/null\n0\n1\n10\n2\nSigBlk:0000000000000000\nSigIgn:0000000000000000\nenv none kept\n"
	// Signal 32 is the C library's own. Its posix_spawn, which make starts
	// recipes with, leaves it ignored in all that runs below.
	found := strings.Replace(string(ended.Output), "SigIgn:0000000080000000", "SigIgn:0000000000000000", 1)
	if found != want {
		t.Errorf("the script found\n%s\nwant\n%s", ended.Output, want)
	}
}

// TestSurroundingsUnderNohup is the same below somebody who ignores signals.
func TestSurroundingsUnderNohup(t *testing.T) {
	said, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `trap "" HUP INT; exec "$0" -test.run='^TestSurroundings$' -test.v`, os.Args[0]).CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS: TestSurroundings") {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestTimeoutTakesTheGrandchild is a script whose child would outlive it: the
// whole group goes, at once on SIGTERM, and the next run starts.
func TestTimeoutTakesTheGrandchild(t *testing.T) {
	s := runner(t).Script()
	pidFile := filepath.Join(t.TempDir(), "pid")
	for range 3 {
		_ = os.Remove(pidFile)
		ended, err := runWithin(t, s, 200*time.Millisecond, "echo hanging; sleep 3600 & echo $! > "+pidFile+"; wait")
		wantDeadline(t, err)
		if string(ended.Output) != "hanging\n" || ended.Code != -1 {
			t.Errorf("%+v, want what it had printed", ended)
		}
		if pid := pidIn(t, pidFile); alive(pid) {
			t.Errorf("the grandchild %d is alive after Run has returned", pid)
		}
	}
}

// TestStandingStill is a script that stops itself: SIGTERM waits until it goes
// on, SIGKILL does not.
func TestStandingStill(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	_, err := runWithin(t, runner(t).Script(), 100*time.Millisecond, "echo $$ > "+pidFile+"; kill -STOP $$")
	wantDeadline(t, err)
	if pid := pidIn(t, pidFile); alive(pid) {
		t.Errorf("the script %d is alive", pid)
	}
}

// TestFiftyChildren wants all of a bushy group gone, although none of it
// listens to SIGTERM.
func TestFiftyChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	_, err := runWithin(t, runner(t).Script(), time.Second, `trap '' TERM
i=0; while [ $i -lt 50 ]; do (trap '' TERM; sleep 3600) & echo $! >> `+pids+`; i=$((i+1)); done; wait`)
	wantDeadline(t, err)
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	if len(lines) != 50 {
		t.Fatalf("only %d children were started", len(lines))
	}
	for _, line := range lines {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err != nil {
			t.Fatal(err)
		}
		if alive(pid) {
			t.Errorf("child %d is alive", pid)
		}
	}
}

// TestLeftovers is a script that exits and leaves a child that holds its
// output, or that does not listen: the verdict counts, the child goes.
func TestLeftovers(t *testing.T) {
	s := runner(t).Script()
	tests := map[string]string{
		"holds the output": "sleep 3600 &",
		"silent":           "sleep 3600 >/dev/null 2>&1 &",
		"deaf":             "(trap '' TERM; exec sleep 3600) &",
	}
	for name, start := range tests {
		t.Run(name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			ended, err := run(t, s, "echo fine; "+start+" echo $! > "+pidFile+"; exit 7")
			if err != nil || ended.Code != 7 || string(ended.Output) != "fine\n" {
				t.Fatalf("%+v, %v", ended, err)
			}
			awaitDeath(t, pidIn(t, pidFile))
		})
	}
}

// TestDaemonIsLeftAlone: a process that went into a session of its own was
// meant to stay, and does not keep the script's result back.
func TestDaemonIsLeftAlone(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	ended, err := run(t, runner(t).Script(), "setsid sh -c 'echo $$ > "+pidFile+"; exec sleep 3600' & echo started; while ! [ -s "+pidFile+" ]; do sleep 0.01; done; exit 0")
	if err != nil || ended.Code != 0 || string(ended.Output) != "started\n" {
		t.Fatalf("%+v, %v", ended, err)
	}
	pid := pidIn(t, pidFile)
	defer kill(pid)
	if !alive(pid) {
		t.Error("the daemon was ended")
	}
}

func TestCancel(t *testing.T) {
	s := runner(t).Script()
	pidFile := filepath.Join(t.TempDir(), "pid")
	cause := errors.New("the probe was removed")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	command := script.Command{Args: []string{write(t, "#!/bin/sh\ntrap '' TERM\necho $$ > "+pidFile+"\nwhile :; do sleep 1; done\n")}}
	go func() {
		_, err := s.Run(ctx, command)
		result <- err
	}()
	pid := pidIn(t, pidFile)
	if _, err := s.Run(t.Context(), command); !errors.Is(err, script.ErrAlive) {
		t.Errorf("a second run at once: %v, want ErrAlive", err)
	}
	cancel(cause)
	if err := <-result; !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
	if alive(pid) {
		t.Error("the script is alive")
	}
	if _, err := s.Run(ctx, command); !errors.Is(err, cause) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestUnkillable stands in for a process in uninterruptible sleep by a kill
// that does nothing. The first run does not return while its script lives, no
// second copy starts, and nothing spins.
func TestUnkillable(t *testing.T) {
	var mu sync.Mutex
	var signals []unix.Signal
	dead := false
	r := runner(t)
	r.SetKill(func(pid int, sig unix.Signal) error {
		mu.Lock()
		defer mu.Unlock()
		if sig != 0 {
			signals = append(signals, sig)
		}
		if sig == 0 || dead {
			return unix.Kill(pid, sig)
		}
		return nil
	})
	s := r.Script()
	pidFile := filepath.Join(t.TempDir(), "pid")
	result := make(chan error, 1)
	go func() {
		_, err := runWithin(t, s, 100*time.Millisecond, "echo $$ > "+pidFile+"; exec sleep 3600")
		result <- err
	}()
	pid := pidIn(t, pidFile)
	for count := 0; count < 2; {
		time.Sleep(time.Millisecond)
		mu.Lock()
		count = len(signals)
		mu.Unlock()
	}
	if _, err := run(t, s, "exit 0"); !errors.Is(err, script.ErrAlive) {
		t.Errorf("second run: %v, want ErrAlive", err)
	}

	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	if used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano(); used > int64(300*time.Millisecond) {
		t.Errorf("waiting for it used %v of a second", time.Duration(used))
	}
	select {
	case err := <-result:
		t.Fatalf("Run returned %v while the script lives", err)
	default:
	}
	if !alive(pid) {
		t.Fatal("the stand-in is dead")
	}

	kill(pid) // The disk comes back.
	wantDeadline(t, <-result)
	if ended, err := run(t, s, "exit 0"); err != nil || ended.Code != 0 {
		t.Errorf("afterwards: %+v, %v", ended, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(signals) != 2 || signals[0] != unix.SIGTERM || signals[1] != unix.SIGKILL {
		t.Errorf("signals %v, want SIGTERM and SIGKILL once each", signals)
	}
}

// TestUnkillableLeftover is the same with a script that has exited: its verdict
// is told at once, and the next run waits for what is left.
func TestUnkillableLeftover(t *testing.T) {
	r := runner(t)
	r.SetKill(func(pid int, sig unix.Signal) error {
		if sig == 0 {
			return unix.Kill(pid, sig)
		}
		return nil
	})
	s := r.Script()
	pidFile := filepath.Join(t.TempDir(), "pid")
	ended, err := run(t, s, "sleep 3600 & echo $! > "+pidFile+"; exit 0")
	if err != nil || ended.Code != 0 {
		t.Fatalf("%+v, %v", ended, err)
	}
	pid := pidIn(t, pidFile)
	if _, err := runWithin(t, s, 100*time.Millisecond, "exit 0"); !errors.Is(err, script.ErrAlive) {
		t.Errorf("second run: %v, want ErrAlive", err)
	}
	kill(pid)
	if ended, err := run(t, s, "exit 5"); err != nil || ended.Code != 5 {
		t.Errorf("afterwards: %+v, %v", ended, err)
	}
}

func TestCannotBeExecuted(t *testing.T) {
	s := runner(t).Script()
	t.Run("missing", func(t *testing.T) {
		_, err := s.Run(t.Context(), script.Command{Args: []string{"/nonexistent/check"}})
		if pathErr, ok := errors.AsType[*script.PathError](err); !ok || pathErr.Element != "/nonexistent" {
			t.Errorf("%v, want the missing element", err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		_, err := s.Run(t.Context(), script.Command{})
		if _, ok := errors.AsType[*script.StartError](err); !ok {
			t.Errorf("%v, want a StartError", err)
		}
	})
	t.Run("not a program", func(t *testing.T) {
		_, err := s.Run(t.Context(), script.Command{Args: []string{write(t, "\x7fELF\x00 but not really")}})
		if startErr, ok := errors.AsType[*script.StartError](err); !ok || !errors.Is(startErr, unix.ENOEXEC) || !strings.Contains(err.Error(), "no program for this machine") {
			t.Errorf("%v, want ENOEXEC explained", err)
		}
	})
	t.Run("too many arguments", func(t *testing.T) {
		_, err := run(t, s, "exit 0", strings.Repeat("x", 1<<20))
		if startErr, ok := errors.AsType[*script.StartError](err); !ok || !errors.Is(startErr, unix.E2BIG) {
			t.Errorf("%v, want E2BIG", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		closed := &script.Runner{}
		closed.Close()
		_, err := run(t, closed.Script(), "exit 0")
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	})
	if ended, err := run(t, s, "exit 0"); err != nil || ended.Code != 0 {
		t.Errorf("afterwards: %+v, %v", ended, err)
	}
}

// TestCloseEndsScripts proves the last line of defence: when the thread that
// forked is gone, the kernel kills the scripts.
func TestCloseEndsScripts(t *testing.T) {
	r := &script.Runner{}
	s := r.Script()
	pidFile := filepath.Join(t.TempDir(), "pid")
	result := make(chan script.Ended, 1)
	go func() {
		ended, _ := run(t, s, "echo $$ > "+pidFile+"; exec sleep 3600")
		result <- ended
	}()
	pid := pidIn(t, pidFile)
	r.Close()
	r.Close()
	if ended := <-result; ended.Signal != unix.SIGKILL {
		t.Errorf("%+v, want SIGKILL", ended)
	}
	awaitDeath(t, pid)
	if _, err := run(t, s, "exit 0"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a run after Close: %v", err)
	}
}

// TestManyAtOnce runs different scripts concurrently: each gets its own
// output, and nothing is left open. A hundred hanging ones occupy no threads.
func TestManyAtOnce(t *testing.T) {
	r := runner(t)
	hang, quick := write(t, "#!/bin/sh\nexec sleep 3600\n"), write(t, "#!/bin/sh\necho $1\nexit $1\n")
	if _, err := r.Script().Run(t.Context(), script.Command{Args: []string{quick, "0"}}); err != nil {
		t.Fatal(err)
	}
	before := count(t, "/proc/self/fd")
	ctx, cancel := context.WithCancel(t.Context())
	var hanging, all sync.WaitGroup
	for range 100 {
		hanging.Go(func() {
			if _, err := r.Script().Run(ctx, script.Command{Args: []string{hang}}); !errors.Is(err, context.Canceled) {
				t.Errorf("hanging script: %v", err)
			}
		})
	}
	for i := range 8 {
		all.Go(func() {
			s := r.Script()
			for j := range 25 {
				want := i*25 + j
				ended, err := s.Run(ctx, script.Command{Args: []string{quick, strconv.Itoa(want)}})
				if err != nil || ended.Code != want || string(ended.Output) != fmt.Sprintln(want) {
					t.Errorf("script %d: %+v, %v", want, ended, err)
				}
			}
		})
	}
	all.Wait()
	if threads := count(t, "/proc/self/task"); threads > 60 {
		t.Errorf("%d threads for 100 hanging scripts", threads)
	}
	cancel()
	hanging.Wait()
	if after := count(t, "/proc/self/fd"); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func count(t *testing.T, directory string) int {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
