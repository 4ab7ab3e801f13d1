package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// callTrace is a strace of what a halo tells the kernel of addresses.
type callTrace struct {
	file   string
	strace *lab.Process
}

func traceCalls(t *testing.T, host *lab.Host, h *lab.Halo) *callTrace {
	t.Helper()
	kerneltest.RequireTool(t, "strace")
	w := &callTrace{file: filepath.Join(t.TempDir(), "strace")}
	w.strace = host.Start(kerneltest.ToolPath("strace"), "--follow-forks", "--trace=sendmsg,sendto,sendmmsg,write", "--no-abbrev",
		"--output="+w.file, fmt.Sprintf("--attach=%d", h.PID()))
	w.strace.WaitOutput("attached")
	return w
}

// calls counts the system calls that carry requests of a type, and the requests.
func (w *callTrace) calls(t *testing.T, request string) (calls, requests int) {
	t.Helper()
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	one := regexp.MustCompile(`nlmsg_type=` + request + `\b`)
	for line := range strings.Lines(string(text)) {
		if n := len(one.FindAllString(line, -1)); n > 0 {
			calls, requests = calls+1, requests+n
		}
	}
	return calls, requests
}

// TestThousandAddressesMoveInBatches: an instance with a thousand addresses of both
// families gives them up and takes them over with few system calls.
func TestThousandAddressesMoveInBatches(t *testing.T) {
	t.Parallel()
	const many, most = 1000, 50 // addresses; calls for them
	s := settings{version: 3, interval: "1", preempt: true, vips: []string{vip + "/24", linkVIP6 + "/64"}}
	var excluded []string // An advertisement has room for 255.
	for i := len(s.vips); i < many; i++ {
		if i%2 == 0 {
			excluded = append(excluded, fmt.Sprintf("10.1.%d.%d/32", i/250, i%250))
		} else {
			excluded = append(excluded, fmt.Sprintf("2001:db8::1:%x/128", i))
		}
	}
	text := func(priority int) string {
		return haloConfig(s.with(priority)) + "excluded_addresses = [" + quoted(excluded) + "]\n"
	}
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	own := func(h *lab.Host) int { return len(h.Addresses("eth0")) + len(h.Addresses6("eth0")) }
	without := own(a)
	better, worse := a.Halo(text(150)), b.Halo(text(100))
	lab.Eventually(t, "all addresses on a", func() bool { return own(a) == without+many })
	worse.WaitState(t, "VI_1", "backup")
	leaving, coming := traceCalls(t, a, better), traceCalls(t, b, worse)

	better.Signal(unix.SIGTERM)
	lab.Eventually(t, "all addresses on b", func() bool { return own(b) == without+many })
	if err := better.Wait(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if left := own(a) - without; left != 0 {
		t.Errorf("%d addresses are left on a", left)
	}
	for _, w := range []*callTrace{leaving, coming} {
		if w == coming {
			w.strace.Signal(unix.SIGINT) // Lets go of halo.
		}
		_ = w.strace.Wait() // With the status of what it looked at.
	}
	for _, moved := range []struct {
		what    *callTrace
		request string
	}{{leaving, "RTM_DELADDR"}, {coming, "RTM_NEWADDR"}} {
		calls, requests := moved.what.calls(t, moved.request)
		t.Logf("%d system calls with %d requests of %s", calls, requests, moved.request)
		if requests < many || calls == 0 || calls > most {
			t.Errorf("%d system calls with %d requests of %s, want %d in at most %d", calls, requests, moved.request, many, most)
		}
	}
}
