package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
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
	say("%-8s %-34s %-10s %-10s %-24s", "targets", "", "done/s", "CPU", "memory, private")
	for _, targets := range []int{1000, 10000} {
		t.Run(strconv.Itoa(targets), func(t *testing.T) {
			ours := measureHalo(t, targets)
			say("%-8d %-34s %-10.0f %-10s %-24s", targets, "halo plugin", ours.rate, percent(ours.checker), kilobytes(ours.checkerMemory))
			say("%-8s %-34s %-10s %-10s %-24s", "", "halo core", "", percent(ours.core), kilobytes(ours.coreMemory))
			theirs, why := measureKeepalived(t, targets)
			if why != "" {
				say("%-8s keepalived was not measured: %s", "", why)
				return
			}
			say("%-8s %-34s %-10.0f %-10s %-24s", "", "keepalived checker (IPVS faked)", theirs.rate, percent(theirs.checker), kilobytes(theirs.checkerMemory))
			say("%-8s plugin CPU per check %s x keepalived's; core CPU %s; core and plugin together %s private", "",
				ratio(ours.checker/ours.rate, theirs.checker/theirs.rate), percent(ours.core), kilobytes(ours.checkerMemory+ours.coreMemory))
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

// figures are one measurement. CPU is the share of one core.
type figures struct {
	rate                      float64 // checks a second that reached the listener
	checker, core             float64
	checkerMemory, coreMemory int
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
func kilobytes(n int) string       { return fmt.Sprintf("%.1f MB", float64(n)/1024) }

// target is the address of the n-th target.
func target(n int) string { return fmt.Sprintf("127.1.%d.%d", n/250, 1+n%250) }

// listen accepts and closes connections in the host's namespace and counts
// them.
func listen(t *testing.T, h *lab.Host) *atomic.Int64 {
	t.Helper()
	l, err := h.Listen("tcp", "0.0.0.0:8080")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var accepted atomic.Int64
	for range 4 {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				// The prober closes first; waiting for it keeps the reset or
				// TIME_WAIT where it belongs.
				go func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.Close() }(c)
			}
		}()
	}
	return &accepted
}

func measureHalo(t *testing.T, targets int) figures {
	t.Helper()
	h := lab.New(t).Host("halo", "192.0.2.1/24")
	accepted := listen(t, h)
	var text strings.Builder
	text.WriteString("[virtual_server.a]\naddress = \"192.0.2.1:80\"\ncheck = [{ type = \"tcp\", interval = \"1s\", timeout = \"900ms\" }]\n")
	for n := range targets {
		fmt.Fprintf(&text, "[[virtual_server.a.real_server]]\naddress = \"%s:8080\"\n", target(n))
	}
	halo := h.Halo(text.String())
	defer halo.Kill()
	lab.Eventually(t, "all targets are up", func() bool {
		up := 0
		for _, r := range halo.Status(t).VirtualServers["a"].RealServers {
			if r.State == "up" {
				up++
			}
		}
		return up == targets
	})
	plugin := halo.Status(t).Plugins["halo-check-tcp"].PID
	return steady(t, accepted, plugin, halo.PID())
}

func measureKeepalived(t *testing.T, targets int) (f figures, why string) {
	t.Helper()
	shim, err := compileShim(t)
	if err != nil {
		return f, err.Error()
	}
	if path := kerneltest.ToolPath("keepalived"); !filepath.IsAbs(path) {
		return f, "keepalived is not installed"
	}
	h := lab.New(t).Host("keepalived", "192.0.2.1/24")
	accepted := listen(t, h)
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
	p := h.Start("/usr/bin/env", "LD_PRELOAD="+shim, kerneltest.ToolPath("keepalived"), "-n", "-G", "-l", "-C", "-f", config,
		"-p", filepath.Join(dir, "p"), "-c", filepath.Join(dir, "c"))
	defer p.Kill()
	lab.Eventually(t, "keepalived's checker runs", func() bool { return len(children(t, p.PID())) == 1 && accepted.Load() > int64(targets) })
	return steady(t, accepted, children(t, p.PID())[0], 0), ""
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

// steady measures for a while once things have settled. core is zero where
// there is none.
func steady(t *testing.T, accepted *atomic.Int64, checker, core int) figures {
	t.Helper()
	time.Sleep(5 * time.Second)
	before, checkerBefore, start := accepted.Load(), cpu(t, checker), time.Now()
	var coreBefore time.Duration
	if core != 0 {
		coreBefore = cpu(t, core)
	}
	time.Sleep(time.Duration(*seconds) * time.Second)
	elapsed := time.Since(start)
	f := figures{
		rate:          float64(accepted.Load()-before) / elapsed.Seconds(),
		checker:       float64(cpu(t, checker)-checkerBefore) / float64(elapsed),
		checkerMemory: memoryOf(t, checker).private,
	}
	if core != 0 {
		f.core = float64(cpu(t, core)-coreBefore) / float64(elapsed)
		f.coreMemory = memoryOf(t, core).private
	}
	return f
}
