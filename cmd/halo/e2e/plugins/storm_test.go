package plugins

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// full tells whether a write to f would wait.
func full(t *testing.T, f *os.File) bool {
	t.Helper()
	set := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}
	n, err := unix.Poll(set, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n == 0
}

// The storm: this many services of this many servers.
const (
	stormServices = 50
	stormServers  = 100
)

// crowd is 5,000 probes. Each kind differs from the other in every probe.
func crowd(kind int) string {
	var b strings.Builder
	for i := range stormServices {
		fmt.Fprintf(&b, "[virtual_server.crowd%d]\naddress = \"%s:%d\"\ncheck = [{ type = \"tcp\", interval = \"%ds\", timeout = \"1s\" }]\n", i, vip, 1000+i, 5+kind)
		for j := range stormServers {
			fmt.Fprintf(&b, "[[virtual_server.crowd%d.real_server]]\naddress = \"127.1.%d.%d:9000\"\n", i, i, j+1)
		}
	}
	return b.String()
}

// freezer stops every process with a mark, again and again, until it is ended.
func freezer(t *testing.T, m mark) (end func()) {
	t.Helper()
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			for _, pid := range m.living(t) {
				_ = unix.Kill(pid, unix.SIGSTOP)
			}
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return func() { close(done); ended.Wait() }
}

// TestAdvertisementsInAStorm is what halo is built for: every plugin hangs,
// files with 5,000 probes are loaded one after the other, and nobody reads the
// log, which has filled its pipe; advertisements leave on time.
//
// On time is a matter of the machine. The yardstick is an idle halo beside it,
// whose own advertisements show how long this machine makes a program wait.
func TestAdvertisementsInAStorm(t *testing.T) {
	t.Parallel()
	m := newMark(t)
	idle := lab.New(t).Host("idle", "192.0.2.1/24").Halo(instance(150))
	s := newSite(t, tcp, misc, stubPrefix+"good")
	s.serveWeb()
	stderr := lab.FullPipe(t)
	text := web() + scripted("scripts", 81, "exit 0", "127.0.0.1:9001") + service("other", 82, stubCheck("good"), "127.0.0.1:9000") +
		m.tables(tcp, misc, stubPrefix+"good")
	s.start(text, lab.Global(`log_level = "debug"`), lab.Prepare(func(cmd *exec.Cmd) { cmd.Stderr = stderr }))
	before := s.judged()

	end := freezer(t, m)
	sent := s.halo.Status(t).VRRPInstances["VI_1"].Counters["adverts_sent"]
	for i := range 3 {
		s.halo.MustReload(t, instance(150)+text+crowd(i))
	}
	status := s.halo.Status(t)
	if want := 3 + stormServices; len(status.VirtualServers) != want {
		t.Errorf("%d services run, want %d", len(status.VirtualServers), want)
	}
	for name, p := range status.Plugins {
		if p.State == "running" && p.Restarts == 0 {
			t.Errorf("plugin %s has not been missed", name)
		}
	}
	nothingMoved(t, before, status)
	end()
	if !full(t, stderr) {
		t.Error("somebody has read the log")
	}
	s.undisturbed()

	active := s.halo.Status(t).VRRPInstances["VI_1"]
	if n := active.Counters["adverts_sent"] - sent; n == 0 {
		t.Error("no advertisement was sent meanwhile")
	}
	interval := active.AdvertInterval
	late := active.AdvertGap["max"] - interval
	usual := idle.Status(t).VRRPInstances["VI_1"].AdvertGap["max"] - interval
	t.Logf("the longest wait for an advertisement was %.1f ms longer than the interval, that of an idle halo %.1f ms", late*1e3, usual*1e3)
	if late > max(interval/2, 4*usual) {
		t.Errorf("an advertisement was %.3f s late, one of an idle halo %.3f s", late, usual)
	}

	if err := s.halo.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	m.waitGone(t)
}
