package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// patience bounds every wait of these tests; reaching it is a failure.
const patience = 30 * time.Second

// process is a plugin process that was started as halo's core does it: own
// session, lifeline, encrypted connection, hardly any environment.
type process struct {
	client   *plugin.Client
	command  *exec.Cmd
	lifeline *os.File
	stderr   output
}

// output keeps the beginning of what is written to it, and counts the rest.
type output struct {
	mu    sync.Mutex
	kept  []byte
	total int
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total += len(b)
	if room := 1<<16 - len(o.kept); room > 0 {
		o.kept = append(o.kept, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

func (o *output) read() (text string, total int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept), o.total
}

func launch(t *testing.T, path string, limit time.Duration, env ...string) *process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	p := &process{lifeline: write, command: exec.Command(path)} //nolint:noctx // The cleanup ends it.
	p.command.Env = slices.Concat(env, []string{"HALO_PLUGIN_LIFELINE_FD=3", "PLUGIN_UNIX_SOCKET_DIR=" + t.TempDir()})
	p.command.ExtraFiles = []*os.File{read}
	p.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  host.Handshake(),
		VersionedPlugins: host.PluginSet(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     limit,
		Stderr:           &p.stderr,
		Cmd:              p.command,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(func() {
		_ = write.Close()
		if p.command.Process != nil {
			// Not Kill alone, which is patient with a plugin that does not answer.
			_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		}
		p.client.Kill()
	})
	return p
}

// running is a plugin process that has probes.
type running struct {
	*process

	session *host.Session
	pid     int
}

func start(t *testing.T, name string, probes ...host.Probe) *running {
	t.Helper()
	return launch(t, link(t, name), time.Minute, asPlugin+"=1").open(t, probes...)
}

func (p *process) open(t *testing.T, probes ...host.Probe) *running {
	t.Helper()
	rpc, err := p.client.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rpc.Dispense(host.Name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := host.NewClient(raw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	diagnostics, err := c.Validate(ctx, probes)
	if err != nil || len(diagnostics) > 0 {
		t.Fatalf("validate: %v, %v", diagnostics, err)
	}
	session, err := c.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{session.Begin(1), session.Upsert(probes), session.Commit(1)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return &running{process: p, session: session, pid: p.command.Process.Pid}
}

// first returns the first result of each probe.
func (r *running) first(t *testing.T, probes int) map[uint64]check.Result {
	t.Helper()
	found := map[uint64]check.Result{}
	for len(found) < probes {
		message, err := r.session.Recv()
		if err != nil {
			t.Fatalf("after %d results: %v", len(found), err)
		}
		results, ok := message.(*host.Results)
		if !ok {
			continue
		}
		for _, result := range results.Results {
			if _, seen := found[result.ID]; !seen {
				found[result.ID] = result.Result
			}
		}
	}
	return found
}

func probe(id uint64, typ, settings string, target check.Target) host.Probe {
	return host.Probe{
		ID: id, Type: typ, Target: target, Settings: []byte(settings),
		Schedule: host.Schedule{Interval: time.Second, RetryInterval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1},
	}
}

func TestServeTCP(t *testing.T) {
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	at := netip.MustParseAddrPort(listener.Addr().String())
	up := check.Target{Address: at.Addr(), Port: at.Port()}
	down := up
	down.Address = netip.MustParseAddr("127.0.0.2")
	results := start(t, "halo-check-tcp", probe(1, "tcp", "{}", up), probe(2, "tcp", "{}", down)).first(t, 2)
	if r := results[1]; r.Outcome != check.Pass || r.Took <= 0 {
		t.Errorf("listening server: %+v", r)
	}
	if r := results[2]; r.Outcome != check.Fail || r.Reason != check.ReasonRefused {
		t.Errorf("closed port: %+v", r)
	}
}

func TestServeMisc(t *testing.T) {
	// What a script finds: an empty signal mask, nothing ignored, no
	// descriptor of the plugin's, no privilege to gain, none of its secrets.
	look := `exec 2>&1
grep -E "^(SigIgn|SigBlk|NoNewPrivs)" /proc/self/status | tr -d "\t\n"
printf " fds:"; ls /proc/self/fd | tr "\n" ","
env | grep -c -E "^(PLUGIN_|HALO_PLUGIN_)"`
	r := start(t, "halo-check-misc",
		probe(1, "misc", `{"command": ["/bin/sh", "-c", "exit 0"]}`, check.Target{}),
		probe(2, "misc", `{"command": ["/bin/sh", "-c", "echo no; exit 9"]}`, check.Target{}),
		probe(3, "misc", `{"command": ["/bin/sh", "-c", "exit 9"], "dialect": "keepalived-dynamic"}`, check.Target{}),
		probe(4, "misc", `{"command": ["/bin/sh", "-c", "echo \"WARNING|x=1ms\"; exit 1"], "dialect": "nagios"}`, check.Target{}),
		probe(5, "misc", fmt.Sprintf(`{"command": ["/bin/sh", "-c", %s]}`, strconv.Quote(look)), check.Target{}),
	)
	results := r.first(t, 5)
	if got := results[1]; got.Outcome != check.Pass || got.Weight != nil {
		t.Errorf("exit 0: %+v", got)
	}
	if got := results[2]; got.Outcome != check.Fail || got.Reason != check.ReasonExit || got.Detail != "exit code 9: no" {
		t.Errorf("exit 9: %+v", got)
	}
	if got := results[3]; got.Outcome != check.Pass || got.Weight == nil || *got.Weight != 7 {
		t.Errorf("exit 9, dynamic: %+v", got)
	}
	if got := results[4]; got.Outcome != check.Pass || got.Metrics["x_seconds"] != 0.001 || got.Detail != "WARNING" {
		t.Errorf("nagios: %+v", got)
	}
	// 3 is the directory that ls reads. Signal 32 is the C library's own; its
	// posix_spawn, which make starts recipes with, leaves it ignored below.
	detail := strings.Replace(results[5].Detail, "SigIgn:0000000080000000", "SigIgn:0000000000000000", 1)
	if got := results[5]; !strings.HasPrefix(detail, "exit code 1: SigBlk:0000000000000000SigIgn:0000000000000000NoNewPrivs:1 fds:0,1,2,3,0") {
		t.Errorf("surroundings: %+v", got)
	}
}

// TestLifelineEndsScripts: when the host's end of the pipe closes, the plugin
// and everything that it runs are gone, also what does not listen to SIGTERM.
func TestLifelineEndsScripts(t *testing.T) {
	directory := t.TempDir()
	script := "trap '' TERM; echo $$ > " + directory + "/script; sleep 3600 & echo $! > " + directory + "/child; while :; do wait; done"
	p := probe(1, "misc", fmt.Sprintf(`{"command": ["/bin/sh", "-c", %s]}`, strconv.Quote(script)), check.Target{})
	p.Schedule.Timeout, p.Schedule.Interval = time.Hour, time.Hour
	r := start(t, "halo-check-misc", p)
	leader, child := pidIn(t, filepath.Join(directory, "script")), pidIn(t, filepath.Join(directory, "child"))
	if err := r.lifeline.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{r.pid, leader, child} {
		awaitDeath(t, pid)
	}
}

// pidIn reads a process id that a script has written, waiting for it.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(string(text), "\n") {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no process id in %s", path)
	return 0
}

// awaitDeath waits until a process is gone, or waits to be reaped.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Fatalf("process %d is still alive", pid)
}
