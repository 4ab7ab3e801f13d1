package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// TestChecks measures the processor time and memory of TCP checks, each
// target once a second, all targets up. The targets are loopback addresses of
// a namespace of their own; how many checks were really made is counted by the
// listener, not by who is measured.
func TestChecks(t *testing.T) {
	begin(t)
	heading("TCP checks, each target every second")
	say("%-8s %-30s %-8s %-6s %-9s %-8s %-12s %-10s", "targets", "", "done/s", "late", "worst", "CPU", "anonymous", "private")
	for _, targets := range []int{1000, 10000} {
		t.Run(strconv.Itoa(targets), func(t *testing.T) {
			ours := measureHalo(t, targets)
			ours.row(targets, "halo plugin", ours.checker)
			ours.row(targets, "halo core", ours.core)
			theirs, why := measureKeepalived(t, targets)
			if why != "" {
				say("keepalived was not measured: %s", why)
				return
			}
			theirs.row(targets, "keepalived checker, IPVS faked", theirs.checker)
			say("%-8d halo's plugin uses %s x keepalived's CPU per check; core and plugin together %s anonymous, %s with the pages of files that only they map", targets,
				ratio(ours.checker.cpu/ours.rate, theirs.checker.cpu/theirs.rate),
				kilobytes(ours.checker.anonymous+ours.core.anonymous), kilobytes(ours.checker.private+ours.core.private))
		})
	}
}

// TestIdle measures the memory of an idle core with both built-in plugins.
func TestIdle(t *testing.T) {
	begin(t)
	heading("idle: core, halo-check-tcp and halo-check-misc")
	h := lab.New(t).Host("idle", "192.0.2.1/24")
	halo := h.Halo(`[virtual_server.a]
address = "192.0.2.1:80"
check   = [{ type = "tcp", interval = "1h" }, { type = "misc", command = ["/bin/true"], interval = "1h" }]

[[virtual_server.a.real_server]]
address = "192.0.2.1:8080"
`)
	lab.Eventually(t, "both plugins run", func() bool { return running(t, halo) == 2 })
	time.Sleep(5 * time.Second)
	total := memoryOf(t, halo.PID()).pss
	say("%-20s %6d kB PSS", "core", total)
	for name, p := range halo.Status(t).Plugins {
		if p.PID != 0 {
			m := memoryOf(t, p.PID)
			say("%-20s %6d kB PSS", name, m.pss)
			total += m.pss
		}
	}
	say("%-20s %6d kB PSS", "together", total)
	say("%-20s %6d kB PSS: an empty host with two empty plugins", "for scale", skeleton(t))
}

// skeleton is what a host and two plugins take that do nothing but talk: two
// programs of the same parts as halo's, without halo.
func skeleton(t *testing.T) (pss int) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"host", "plugin"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-tags", "grpcnotrace", "-trimpath", "-o", dir, "./testdata/skeleton/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the skeleton: %v\n%s", err, said)
		}
	}
	host := exec.CommandContext(t.Context(), filepath.Join(dir, "host"), filepath.Join(dir, "plugin"))
	input, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = input.Close()
		_ = host.Wait()
	}()
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatalf("the skeleton said %q: %v", line, err)
	}
	time.Sleep(5 * time.Second)
	for _, pid := range append(children(t, host.Process.Pid), host.Process.Pid) {
		pss += memoryOf(t, pid).pss
	}
	return pss
}

func running(t *testing.T, h *lab.Halo) int {
	t.Helper()
	n := 0
	for _, p := range h.Status(t).Plugins {
		if p.State == "running" {
			n++
		}
	}
	return n
}

// figures are one measurement of a checker, and of its core where it has one.
type figures struct {
	rate          float64 // checks a second that reached the listener
	census        census
	checker, core load
	wrong         int // targets that halo does not hold for up
}

// load is what a process used: cpu as the share of one core.
type load struct {
	cpu float64
	memory
}

func (f *figures) row(targets int, name string, l load) {
	say("%-8d %-30s %-8.0f %-6d %-9s %-8s %-12s %-10s", targets, name, f.rate, f.census.late, milliseconds(f.census.worst),
		percent(l.cpu), kilobytes(l.anonymous), kilobytes(l.private))
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }
func kilobytes(n int) string       { return fmt.Sprintf("%.1f MB", float64(n)/1024) }

// target is the address of the n-th target.
func target(n int) string { return fmt.Sprintf("127.1.%d.%d", n/250, 1+n%250) }

func measureHalo(t *testing.T, targets int) figures {
	t.Helper()
	h := lab.New(t).Host("halo", "192.0.2.1/24")
	l := listen(t, h)
	var text strings.Builder
	text.WriteString("[virtual_server.a]\naddress = \"192.0.2.1:80\"\ncheck = [{ type = \"tcp\", interval = \"1s\", timeout = \"900ms\" }]\n")
	for n := range targets {
		fmt.Fprintf(&text, "[[virtual_server.a.real_server]]\naddress = \"%s:8080\"\n", target(n))
	}
	halo := h.Halo(text.String())
	defer halo.Kill()
	lab.Eventually(t, "the plugin runs", func() bool { return halo.Status(t).Plugins["halo-check-tcp"].PID != 0 })
	plugin := halo.Status(t).Plugins["halo-check-tcp"].PID
	preferSession(plugin)
	f := steady(t, l, targets, plugin, halo.PID())
	// Asked only now: an answer about 10,000 servers is work for the core.
	for _, server := range halo.Status(t).VirtualServers["a"].RealServers {
		if server.State != "up" || server.Checks[0].Outcome != "pass" {
			f.wrong++
		}
	}
	if f.wrong > 0 {
		t.Errorf("%d targets are not up, although all are", f.wrong)
	}
	return f
}

func measureKeepalived(t *testing.T, targets int) (f figures, why string) {
	t.Helper()
	if !haveKeepalived() {
		return f, "it is not installed"
	}
	shim, err := compileShim(t)
	if err != nil {
		return f, err.Error()
	}
	h := lab.New(t).Host("keepalived", "192.0.2.1/24")
	l := listen(t, h)
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("virtual_server 192.0.2.1 80 {\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n")
	for n := range targets {
		fmt.Fprintf(&text, " real_server %s 8080 {\n  TCP_CHECK {\n   connect_timeout 1\n  }\n }\n", target(n))
	}
	text.WriteString("}\n")
	config := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// -G keeps it from the system's log: without a log daemon, the C library
	// would write ten thousand lines to the console.
	p := h.Start("/usr/bin/env", "LD_PRELOAD="+shim, kerneltest.ToolPath("keepalived"), "-n", "-G", "-l", "-C", "-f", config,
		"-p", filepath.Join(dir, "p"), "-c", filepath.Join(dir, "c"))
	defer p.Kill()
	lab.Eventually(t, "keepalived's checker runs", func() bool {
		if !p.Alive() {
			t.Fatal("keepalived ended")
		}
		return len(children(t, p.PID())) == 1
	})
	return steady(t, l, targets, children(t, p.PID())[0], 0), ""
}

func compileShim(t *testing.T) (string, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "ipvs_shim.so")
	said, err := exec.CommandContext(t.Context(), "gcc", "-O2", "-shared", "-fPIC", "-o", out, "testdata/ipvs_shim.c", "-ldl").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile the IPVS shim: %w: %s", err, said)
	}
	return out, nil
}

// steady measures for a while once every target has been visited and things
// have settled. core is zero where there is none.
func steady(t *testing.T, l *listener, targets, checker, core int) figures {
	t.Helper()
	lab.Eventually(t, "every target has been checked", func() bool {
		time.Sleep(100 * time.Millisecond) // The census is work, too.
		return l.census(time.Second).targets == targets
	})
	time.Sleep(5 * time.Second)
	l.reset()
	start, checkerBefore, coreBefore := time.Now(), cpu(t, checker), cpu(t, core)
	time.Sleep(time.Duration(*seconds) * time.Second)
	elapsed, checkerAfter, coreAfter := time.Since(start), cpu(t, checker), cpu(t, core)
	f := figures{census: l.census(time.Second)}
	f.rate = float64(f.census.count) / elapsed.Seconds()
	share := func(before, after time.Duration) float64 { return float64(after-before) / float64(elapsed) }
	f.checker = load{share(checkerBefore, checkerAfter), memoryOf(t, checker)}
	if core != 0 {
		f.core = load{share(coreBefore, coreAfter), memoryOf(t, core)}
	}
	return f
}
