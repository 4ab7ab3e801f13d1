package script_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/script"
)

// patience bounds every wait of these tests; reaching it is a failure.
const patience = 30 * time.Second

// write makes an executable file of the text and returns its path.
func write(tb testing.TB, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "check")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		tb.Fatal(err)
	}
	return path
}

// runner returns one that ends with the test.
func runner(tb testing.TB) *script.Runner {
	tb.Helper()
	r := &script.Runner{}
	tb.Cleanup(r.Close)
	return r
}

// run runs a shell script to its end.
func run(tb testing.TB, s *script.Script, text string, args ...string) (script.Ended, error) {
	tb.Helper()
	return runWithin(tb, s, patience, text, args...)
}

func runWithin(tb testing.TB, s *script.Script, limit time.Duration, text string, args ...string) (script.Ended, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	return s.Run(ctx, script.Command{
		Args: append([]string{write(tb, "#!/bin/sh\n"+text+"\n")}, args...),
		Env:  script.Environment(os.Environ()),
	})
}

// pidIn reads a process id that a script has written, waiting for it.
func pidIn(tb testing.TB, path string) int {
	tb.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(string(text), "\n") {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				tb.Fatal(err)
			}
			return pid
		}
	}
	tb.Fatalf("no process id in %s", path)
	return 0
}

// alive reports whether a process exists and is not merely waiting to be reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	return fields[0] != "Z" && fields[0] != "X"
}

// awaitDeath waits for the end of a process.
func awaitDeath(tb testing.TB, pid int) {
	tb.Helper()
	for end := time.Now().Add(patience); alive(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("process %d is still alive", pid)
		}
	}
}

// kill is for what a test has started outside every group.
func kill(pid int) { _ = unix.Kill(pid, unix.SIGKILL) }

func wantDeadline(tb testing.TB, err error) {
	tb.Helper()
	if !errors.Is(err, context.DeadlineExceeded) {
		tb.Fatalf("error %v, want the deadline's", err)
	}
}
