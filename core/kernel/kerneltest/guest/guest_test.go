package guest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/guest"
)

// requireGuest skips where no guest can run, and fails there in CI.
func requireGuest(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots virtual machines")
	}
	if os.Getenv("HALO_GUEST") == "1" {
		t.Skip("this is a guest already")
	}
	err := guest.Missing()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("no test kernel, which CI must have: %v", err)
	default:
		t.Skipf("no test kernel: %v", err)
	}
}

// outcome is all that a guest leaves behind.
type outcome struct {
	code           int
	err            error
	stdout, stderr string
}

// shell runs a script in a guest, whose Config change may adapt.
func shell(t *testing.T, script string, change func(*guest.Config)) outcome {
	t.Helper()
	requireGuest(t)
	var stdout, stderr bytes.Buffer
	config := guest.Config{
		Args:   []string{"/bin/sh", "-c", script},
		Dir:    t.TempDir(),
		Stdout: &stdout,
		Stderr: &stderr,
	}
	if change != nil {
		change(&config)
	}
	code, err := guest.Run(t.Context(), config)
	return outcome{code, err, stdout.String(), stderr.String()}
}

func TestProgramRunsWithItsOutputsAndExitCode(t *testing.T) {
	t.Parallel()
	got := shell(t, `echo "out $1 $COLOUR $HALO_GUEST $(id -u)"; echo err >&2; pwd; cat testdata/fixture; exit 7`,
		func(config *guest.Config) {
			config.Args = append(config.Args, "sh", "argument")
			config.Env = []string{"COLOUR=blue"}
			write(t, filepath.Join(config.Dir, "testdata", "fixture"), "from testdata\n")
			config.Dir, _ = filepath.Abs(config.Dir)
		})
	if got.err != nil {
		t.Fatalf("run: %v", got.err)
	}
	if got.code != 7 {
		t.Errorf("exit code is %d, want 7", got.code)
	}
	lines := strings.Split(got.stdout, "\n")
	if lines[0] != "out argument blue 1 0" {
		t.Errorf("first line is %q", lines[0])
	}
	if !strings.Contains(got.stdout, "from testdata\n") {
		t.Errorf("testdata is missing in the guest:\n%s", got.stdout)
	}
	if got.stderr != "err\n" {
		t.Errorf("standard error is %q, want only what the program wrote", got.stderr)
	}
}

func TestGuestHasTheKernelTheTestsNeed(t *testing.T) {
	t.Parallel()
	got := shell(t, `
		set -e
		for scheduler in rr wrr lc wlc fo ovf lblc lblcr dh sh mh sed nq; do
			ipvsadm -A -t 192.0.2.1:80 -s $scheduler
			ipvsadm -D -t 192.0.2.1:80
		done
		ipvsadm -A -t 192.0.2.1:80 -s mh && ipvsadm -Ln
		ip link add name d0 type dummy
		ip link add name v0 type vrf table 10
		ip link add name m0 link d0 type macvlan mode bridge
		ip link add name t0 type ipip local 192.0.2.1 remote 192.0.2.2
		ip netns add other
		ip link add name a0 type veth peer name b0 netns other
		tc qdisc add dev a0 root netem delay 10ms loss 1%
		nft add table inet filter
		nft add chain inet filter input '{ type filter hook input priority 0; }'
		nft add rule inet filter input ip saddr 198.51.100.1 numgen random mod 100 '<' 5 counter drop
		ping -c 1 -W 5 127.0.0.1 >/dev/null
		echo complete`,
		nil)
	if got.err != nil {
		t.Fatalf("run: %v", got.err)
	}
	if got.code != 0 {
		t.Fatalf("exit code is %d, want 0\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, want := range []string{"IP Virtual Server version", "TCP  192.0.2.1:80 mh", "complete"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("output lacks %q:\n%s", want, got.stdout)
		}
	}
}

func TestLargeOutputArrivesWholeAndInOrder(t *testing.T) {
	t.Parallel()
	got := shell(t, `seq 1 40000`, nil)
	if got.err != nil || got.code != 0 {
		t.Fatalf("run: exit code %d, %v", got.code, got.err)
	}
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != 40000 || lines[0] != "1" || lines[len(lines)-1] != "40000" {
		t.Errorf("got %d lines, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
}

func TestFilesGoInAndComeBack(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	write(t, filepath.Join(directory, "in", "deep", "file"), "content")
	write(t, filepath.Join(directory, "outside"), ", outside")
	for link, target := range map[string]string{"deep/link": "../deep/file", "away": "../outside"} {
		if err := os.Symlink(target, filepath.Join(directory, "in", link)); err != nil {
			t.Fatal(err)
		}
	}
	back := filepath.Join(directory, "back")
	got := shell(t, `cat /given/deep/link /given/away > /made; test -L /given/deep/link; echo -n " and more $?" >> /made`, func(config *guest.Config) {
		config.Files = []string{filepath.Join(directory, "in") + "=/given"}
		config.Collect = map[string]string{"/made": back, "/never": filepath.Join(directory, "never")}
	})
	if got.err != nil || got.code != 0 {
		t.Fatalf("run: exit code %d, %v, %s", got.code, got.err, got.stderr)
	}
	content, err := os.ReadFile(back)
	if err != nil || string(content) != "content, outside and more 0" {
		t.Errorf("collected %q, %v", content, err)
	}
	if _, err := os.Stat(filepath.Join(directory, "never")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that nobody made was collected: %v", err)
	}
}

// TestSignalIsToldAndNobodyLeftHoldsTheEnd leaves a process behind that keeps
// the outputs open.
func TestSignalIsToldAndNobodyLeftHoldsTheEnd(t *testing.T) {
	t.Parallel()
	got := shell(t, `sleep 100000 & echo started; kill -9 $$`, nil)
	if got.err != nil || got.code != 128+9 || got.stdout != "started\n" {
		t.Errorf("exit code %d, %q, %v; want 137", got.code, got.stdout, got.err)
	}
}

func TestGuestFailures(t *testing.T) {
	tests := []struct {
		name   string
		script string
		change func(*guest.Config)
		want   []string
	}{
		{
			name:   "kernel panic",
			script: `echo before; echo c > /proc/sysrq-trigger; sleep 1000`,
			want:   []string{"stopped before the program ended", "Kernel panic", "sysrq"},
		},
		{
			// The freezer stops process 1 as a deadlocked kernel would.
			name: "hang",
			script: `mkdir /sys/fs/cgroup/ice
				echo 1 > /sys/fs/cgroup/ice/cgroup.procs
				echo 1 > /sys/fs/cgroup/ice/cgroup.freeze
				sleep 1000`,
			change: func(config *guest.Config) { config.HeartbeatLimit = 5 * time.Second },
			want:   []string{"no sign of life for 5s", "console"},
		},
		{
			name:   "boot too slow",
			change: func(config *guest.Config) { config.BootLimit = 10 * time.Millisecond },
			want:   []string{"did not boot within 10ms"},
		},
		{
			name:   "program too slow",
			script: `sleep 1000`,
			change: func(config *guest.Config) { config.Limit = time.Second },
			want:   []string{"did not end within 1s"},
		},
		{
			name:   "no such program",
			change: func(config *guest.Config) { config.Args = []string{"no-such-program"} },
			want:   []string{"no-such-program", "not found"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := shell(t, test.script, test.change)
			if !errors.Is(got.err, guest.ErrGuest) {
				t.Fatalf("exit code %d, error %v; want one of the guest", got.code, got.err)
			}
			for _, want := range test.want {
				if !strings.Contains(got.err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, got.err)
				}
			}
		})
	}
}

func TestCancelledRunEnds(t *testing.T) {
	t.Parallel()
	requireGuest(t)
	ctx, cancel := context.WithCancel(t.Context())
	started := writerFunc(func([]byte) (int, error) { cancel(); return 0, nil })
	_, err := guest.Run(ctx, guest.Config{Args: []string{"/bin/sh", "-c", "echo running; sleep 1000"}, Stdout: started})
	if !errors.Is(err, guest.ErrGuest) {
		t.Errorf("error is %v, want one of the guest", err)
	}
}

func TestNoProgramIsAnError(t *testing.T) {
	if _, err := guest.Run(t.Context(), guest.Config{}); err == nil {
		t.Error("a run of nothing succeeded")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
