package bench

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

var (
	measure   = flag.Bool("measure", false, "measure; without it every benchmark is skipped")
	takeovers = flag.Int("takeovers", 10, "takeovers per cell (crash and stop each)")
	seconds   = flag.Int("seconds", 20, "length of a steady-state measurement")
)

// begin skips unless measuring was asked for.
func begin(t *testing.T) {
	t.Helper()
	if !*measure {
		t.Skip("measures only with -measure (make bench)")
	}
	prefer()
}

const nicest = -20

// prefer asks the kernel to let this process and all it starts, both parties
// and the listener alike, go before whatever else the machine does. It is a
// wish: without the privilege the figures are only noisier.
func prefer() {
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, nicest)
	// Where the kernel groups tasks by session, the group has a nice value, too.
	preferSession(os.Getpid())
}

// preferSession does the same for a process that has made a session of its own,
// as halo's plugins do: the kernel schedules it as another group. Without this,
// on a machine with other work, it would be compared at a lesser share of the
// processor than Keepalived's.
func preferSession(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(strconv.Itoa(nicest)), 0)
}

// asItComes leaves halo its own default, which labs turn off: scheduled in real
// time where it has the privilege.
func asItComes(h *lab.Halo) { lab.Global("realtime = true")(h) }

// haveKeepalived reports whether there is somebody to compare with.
func haveKeepalived() bool { return filepath.IsAbs(kerneltest.ToolPath("keepalived")) }

// say prints a line of the report at once, whatever the verbosity of go test.
func say(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }

// sample is a series of durations.
type sample []time.Duration

func (s sample) median() time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

func (s sample) String() string {
	if len(s) == 0 {
		return "no value"
	}
	return fmt.Sprintf("%s (%s-%s)", milliseconds(s.median()), milliseconds(slices.Min(s)), milliseconds(slices.Max(s)))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// ratio compares medians; a verdict is printed, never asserted: a benchmark on
// a shared machine informs.
func ratio(ours, theirs float64) string {
	if theirs == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ours/theirs)
}

func heading(text string) { say("\n%s\n%s", text, strings.Repeat("-", len(text))) }
