package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// policies are the scheduling policies of a process's threads, each once.
func policies(t *testing.T, pid int) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("threads of %d: %v, %v", pid, files, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // The thread has ended.
		}
		// The policy is field 41; fields are counted from behind the name, which
		// may hold blanks, and which is the second.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		found[fields[41-3]] = true
	}
	return found
}

const (
	ordinaryPolicy = "0" // SCHED_NORMAL
	realtimePolicy = "2" // SCHED_RR
)

// The core is scheduled in real time and stays in memory; plugins and what they
// run are not, and have no right to be.
func TestRealtime(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	s := newSite(t, tcp, misc)
	s.serveWeb()
	// The script finds out for itself: a policy and a limit of its own.
	look := `read _ _ _ < /dev/null; set -- $(cut -d ')' -f 2- /proc/self/stat); test ${39} = 0 && test $(ulimit -r) = 0`
	s.start(web()+scripted("scripts", 81, look, "127.0.0.1:9001"), lab.Global("realtime = true"))
	lab.Eventually(t, "the script has looked and found what it should", func() bool {
		return s.server("scripts", "127.0.0.1:9001").State == "up"
	})
	own := policies(t, s.halo.PID())
	if !own[realtimePolicy] || len(own) != 2 || !own[ordinaryPolicy] {
		t.Errorf("the core's threads have the policies %v, want real time and, for the one that starts plugins, the ordinary", own)
	}
	if locked := procStatus(t, s.halo.PID())["VmLck"]; locked == "" || locked == "0 kB" {
		t.Errorf("the core has %q locked", locked)
	}
	for _, name := range []string{tcp, misc} {
		pid := s.plugin(name).PID
		if p := policies(t, pid); len(p) != 1 || !p[ordinaryPolicy] {
			t.Errorf("%s: policies %v", name, p)
		}
		if locked := procStatus(t, pid)["VmLck"]; locked != "0 kB" {
			t.Errorf("%s has %q locked", name, locked)
		}
	}
}

// Without the privilege the core is scheduled like anybody else: quietly, unless
// it was asked for. And it can be turned off.
func TestRealtimeDenied(t *testing.T) {
	for name, tc := range map[string]struct {
		global   string
		denied   bool
		degraded bool
	}{
		"by default":    {"# realtime", true, false},
		"asked for":     {"realtime = true", true, true},
		"not asked for": {"realtime = false", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			options := []lab.Option{lab.Global(tc.global)}
			if tc.denied {
				// Neither the capabilities nor the limits that stand for them.
				kerneltest.RequireTool(t, "prlimit")
				options = append(options, limited(t, unitCapabilities(t), kerneltest.ToolPath("prlimit"), "--rtprio=0:0", "--memlock=65536:65536"))
			}
			h := n.Host("a", "192.0.2.1/24").Halo("", options...)
			if p := policies(t, h.PID()); len(p) != 1 || !p[ordinaryPolicy] {
				t.Errorf("policies %v", p)
			}
			said := strings.Join(h.Status(t).Degraded, "\n")
			if strings.Contains(said, "LimitRTPRIO=1") != tc.degraded || strings.Contains(said, "LimitMEMLOCK=infinity") != tc.degraded {
				t.Errorf("degraded: %q", said)
			}
		})
	}
}
