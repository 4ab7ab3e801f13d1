package balancing

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// checker is the plugin that the services of these tests are checked by.
const checker = "halo-check-tcp"

// crashes is how often the plugin is killed: few, because a start takes seconds
// in the test kernel. That many crashes move no weight and leave nothing behind
// is proven by cmd/halo/e2e/plugins and core/pluginhost.
const crashes = 6

// asker asks through the virtual address, one request after the other, with
// pauses that leave the machine to others.
type asker struct {
	end    chan struct{}
	ended  chan struct{}
	asked  int
	failed []error
}

// keepAsking asks until stop.
func (s *site) keepAsking() *asker {
	a := &asker{end: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		for {
			select {
			case <-a.end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			a.asked++
			if _, err := s.get(); err != nil {
				a.failed = append(a.failed, err)
			}
		}
	}()
	return a
}

// stop asserts that every request was answered.
func (a *asker) stop(t *testing.T) {
	t.Helper()
	close(a.end)
	<-a.ended
	if len(a.failed) > 0 || a.asked == 0 {
		t.Errorf("%d of %d requests failed: %v", len(a.failed), a.asked, a.failed)
	}
	t.Logf("%d requests were answered", a.asked)
}

// plugin waits until the plugin runs as another process than pid, and returns
// what halo says of it.
func (s *site) plugin(pid int) control.Plugin {
	s.t.Helper()
	var p control.Plugin
	lab.Eventually(s.t, "the plugin runs", func() bool {
		p = s.halo.Status(s.t).Plugins[checker]
		return p.State == "running" && p.PID != 0 && p.PID != pid
	})
	return p
}

// TestPluginCrashesMoveNoWeight kills the plugin over and over while a client
// keeps asking: the table stays as it is, and no request fails.
func TestPluginCrashesMoveNoWeight(t *testing.T) {
	s := newSite(t, "nat")
	text := s.web(tcpCheck, "w1 weight = 3", "w2")
	s.start(text)
	want := map[string]int{"w1": 3, "w2": 1}
	s.waitTable("both serve", want)
	talk := s.converse()
	watch := s.watchTableEvery(100*time.Millisecond, want)
	client := s.keepAsking()
	pid := 0
	for i := range crashes {
		pid = s.plugin(pid).PID
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if i%3 == 2 {
			// A plugin that is to run differently is started at once. Else it
			// would be started more and more rarely.
			lab.Eventually(t, "the crash is noticed", func() bool { return s.halo.Status(t).Plugins[checker].PID != pid })
			s.halo.MustReload(t, instance+text+fmt.Sprintf("\n[plugin.%s]\nenv = { CRASHES = \"%d\" }\n", checker, i))
		}
	}
	p := s.plugin(pid)
	if p.Restarts < crashes {
		t.Errorf("the plugin was started %d times again, want %d at least", p.Restarts, crashes)
	}
	lab.Eventually(t, "both are checked again", func() bool { return s.healthy() == 2 })
	client.stop(t)
	watch.stop("while the plugin crashed")
	talk.goesOn("after the crashes")

	t.Log("its results count again")
	s.servers["w1"].down()
	s.waitTable("w1 is removed", map[string]int{"w2": 1})
}

// TestStoppedPluginMovesNoWeight is R35 as the kernel sees it: while the plugin
// hangs the table is frozen, even if a server fails meanwhile; the plugin that
// replaces it finds out.
func TestStoppedPluginMovesNoWeight(t *testing.T) {
	s := newSite(t, "nat")
	s.start(s.web(tcpCheck, "w1", "w2"))
	both := map[string]int{"w1": 1, "w2": 1}
	s.waitTable("both serve", both)
	pid := s.plugin(0).PID
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.servers["w1"].down()
	lab.Eventually(t, "the plugin is missed", func() bool { return s.halo.Status(t).Plugins[checker].State != "running" })
	got := s.table()
	if still := s.halo.Status(t).Plugins[checker].PID == pid; still && !maps.Equal(got, both) {
		t.Errorf("the table is %v while the plugin hangs, want %v", got, both)
	}
	s.plugin(pid)
	s.waitTable("w1 is removed", map[string]int{"w2": 1})
}
