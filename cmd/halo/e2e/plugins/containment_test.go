package plugins

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// secondUser is an account that every machine has, besides the plugins' own.
const secondUser = "daemon"

// TestContainment looks at the running plugins of a halo that was itself
// started with secrets in its environment and a descriptor to spare: what they
// may do, what they know and what they hold. A check with a user of its own
// has a process of its own.
func TestContainment(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	s := newSite(t, tcp, misc)
	s.serveWeb()
	text := web() + scripted("scripts", 81, "exit 0", "127.0.0.1:9001") +
		service("others", 82, fmt.Sprintf(`"misc", command = ["/bin/true"], user = %q`, secondUser), "127.0.0.1:9001")
	s.start(text, lab.Prepare(func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "HALO_TEST_SECRET=hunter2", "NOTIFY_SOCKET=/run/none")
		cmd.ExtraFiles = []*os.File{read}
	}))
	s.judged()
	for _, service := range []string{"scripts", "others"} {
		lab.Eventually(t, "the check of "+service+" passes", func() bool { return s.server(service, "127.0.0.1:9001").State == "up" })
	}
	own := descriptors(t, s.halo.PID())
	spare := pipeOf(t, read)
	if !slices.Contains(slices.Collect(maps.Values(own)), spare) {
		t.Fatalf("halo was not given %s: %v", spare, own)
	}
	pids := map[int]bool{}
	for _, identity := range []struct{ plugin, user string }{{tcp, "nobody"}, {misc, "nobody"}, {misc, secondUser}} {
		t.Run(identity.plugin+" as "+identity.user, func(t *testing.T) {
			p := s.plugin(identity.plugin, identity.user)
			if p.PID == 0 || p.State != "running" || pids[p.PID] {
				t.Fatalf("the process is %+v", p)
			}
			pids[p.PID] = true
			contained(t, p, s.halo.PID(), own)
		})
	}
	s.undisturbed()
}

func contained(t *testing.T, p control.Plugin, parent int, parents map[int]string) {
	t.Helper()
	account, err := user.Lookup(p.User)
	if err != nil {
		t.Fatal(err)
	}
	four := func(id string) string { return strings.Join([]string{id, id, id, id}, " ") }
	const none = "0000000000000000"
	status := procStatus(t, p.PID)
	for key, want := range map[string]string{
		"Uid": four(account.Uid), "Gid": four(account.Gid), "Groups": "", "NoNewPrivs": "1",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapAmb": none, "PPid": strconv.Itoa(parent),
	} {
		if status[key] != want {
			t.Errorf("%s is %q, want %q", key, status[key], want)
		}
	}
	if account.Uid == "0" {
		t.Error("it runs as root")
	}
	_, stat, _ := strings.Cut(proc(t, p.PID, "stat"), ") ")
	if f, own := strings.Fields(stat), strconv.Itoa(p.PID); f[2] != own || f[3] != own {
		t.Errorf("it is in group %s and session %s, want its own %s", f[2], f[3], own)
	}
	if score := strings.TrimSpace(proc(t, p.PID, "oom_score_adj")); score != "500" {
		t.Errorf("oom_score_adj is %s, want 500", score)
	}

	known := regexp.MustCompile(`^(PATH|LANG|LC_ALL|TZ|PLUGIN_[A-Z_]+|HALO_PLUGIN_[A-Z_]+|HALO_PLUGIN)$`)
	for variable := range strings.SplitSeq(strings.TrimSuffix(proc(t, p.PID, "environ"), "\x00"), "\x00") {
		if name, _, _ := strings.Cut(variable, "="); !known.MatchString(name) {
			t.Errorf("its environment has %q", variable)
		}
	}

	// Two pipes have halo at the other end: its log and the lifeline (the SDK
	// has closed the third, of the handshake). Everything else is its own: no
	// socket of halo's, and nothing that halo was given. Where the processor
	// time is rationed, the Go runtime keeps the two files open that say so.
	shared := map[string]bool{}
	allowed := regexp.MustCompile(`^(/dev/null|pipe:\[\d+\]|socket:\[\d+\]|anon_inode:\[(eventpoll|eventfd|pidfd|timerfd)\]|/sys/fs/cgroup/.*/?cpu\.(max|cfs_quota_us|cfs_period_us))$`)
	for number, to := range descriptors(t, p.PID) {
		if !allowed.MatchString(to) {
			t.Errorf("descriptor %d is %s", number, to)
		}
		for _, of := range parents {
			if to == of && strings.Contains(to, "[") && !strings.HasPrefix(to, "anon_inode:") {
				shared[to] = true
			}
		}
	}
	if len(shared) != 2 {
		t.Errorf("it shares %v with halo, want its log and its lifeline", shared)
	}
}

// pipeOf is what /proc calls an open pipe.
func pipeOf(t *testing.T, f *os.File) string {
	t.Helper()
	to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return to
}
