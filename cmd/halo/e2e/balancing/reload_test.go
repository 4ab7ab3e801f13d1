package balancing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// tcpAt is the quick check pointed at another port of the server.
func tcpAt(port int) string {
	return fmt.Sprintf(`check = [{ type = "tcp", connect_port = %d, interval = "300ms", timeout = "2s", retry_interval = "100ms", rise = 2, fall = 2 }]`, port)
}

// misc is a check by script.
func misc(path string) string {
	return fmt.Sprintf(`check = [{ type = "misc", command = [%q], interval = "300ms", timeout = "60s", retry_interval = "100ms", rise = 2, fall = 2 }]`, path)
}

const tcpCheck = "check = [" + quick + "]"

// TestFailedCheckSurvivesReload is R1: a server that is down stays out over
// reloads, without a moment in the table, and comes back by its check alone.
func TestFailedCheckSurvivesReload(t *testing.T) {
	s := newSite(t, "nat")
	s.servers["w1"].down()
	text := s.web(tcpCheck, "w1", "w2")
	s.start(text)
	want := map[string]int{"w2": 1}
	s.waitTable("w2 serves alone", want)
	lab.Eventually(t, "w1 is known to be down", func() bool { return s.state("w1") == "down" })
	watch := s.watchTable(want)
	if r := s.halo.MustReload(t, instance+text); len(r.Changes) != 0 {
		t.Errorf("an unchanged file changed %q", r.Changes)
	}
	s.halo.MustReload(t, instance+text+"\n[virtual_server.other]\naddress = \"192.0.2.10:81\"\n\n[[virtual_server.other.real_server]]\naddress = \"198.51.100.99:81\"\n")
	if got := s.state("w1"); got != "down" {
		t.Errorf("after the reloads w1 is %s, want down as before", got)
	}
	watch.stop("over the reloads")
	s.servers["w1"].up()
	s.waitTable("w1 is back by its check", map[string]int{"w1": 1, "w2": 1})
}

// TestR2ChangedCheckOnFailedServer: a server that failed its old check is
// admitted by the successes of the new one, and by nothing else.
func TestR2ChangedCheckOnFailedServer(t *testing.T) {
	s := newSite(t, "nat")
	script := newScript(t, 1)
	s.start(s.web(misc(script.path), "w1"))
	lab.Eventually(t, "w1 is down", func() bool { return s.state("w1") == "down" })
	s.servers["w1"].down()
	s.halo.MustReload(t, instance+s.web(tcpCheck, "w1"))
	watch := s.watchTable(map[string]int{})
	lab.Eventually(t, "the new check has failed", func() bool {
		checks := s.halo.Status(t).VirtualServers["web"].RealServers[s.servers["w1"].address].Checks
		return len(checks) == 1 && checks[0].Type == "tcp" && checks[0].Outcome == "fail"
	})
	watch.stop("before the new check succeeds")
	s.servers["w1"].up()
	s.waitTable("w1 is admitted", map[string]int{"w1": 1})
}

// TestR3ChangedCheckOnHealthyServer: a healthy server whose check is
// pointed at a closed port stays in until that check fails, and leaves once.
func TestR3ChangedCheckOnHealthyServer(t *testing.T) {
	s := newSite(t, "nat")
	s.start(s.web(tcpCheck, "w1", "w2"))
	s.waitTable("both serve", map[string]int{"w1": 1, "w2": 1})
	s.halo.MustReload(t, instance+s.web(tcpAt(1), "w1", "w2 "+tcpCheck))
	s.waitTable("w1 left", map[string]int{"w2": 1})
	if leaves := strings.Count(s.halo.Output(), "real server leaves service"); leaves != 1 {
		t.Errorf("the log says %d times that a server was removed, want once", leaves)
	}
}

// TestNewServerStartsUnknown is R4: an unreachable server added by a reload is
// never in the table, not for a moment, and the others are untouched.
func TestNewServerStartsUnknown(t *testing.T) {
	s := newSite(t, "nat")
	s.servers["w2"].down()
	s.start(s.web(tcpCheck, "w1"))
	want := map[string]int{"w1": 1}
	s.waitTable("w1 serves", want)
	talk := s.converse()
	watch := s.watchTable(want)
	s.halo.MustReload(t, instance+s.web(tcpCheck, "w1", "w2"))
	lab.Eventually(t, "w2 is known to be down", func() bool { return s.state("w2") == "down" })
	watch.stop("while w2 was new")
	talk.goesOn("after the reload")
}

// TestCheckRemovedWhileFailed is R5: nobody has an opinion of the server any
// more, so it is admitted, and the log says why.
func TestCheckRemovedWhileFailed(t *testing.T) {
	s := newSite(t, "nat")
	s.servers["w1"].down()
	s.start(s.web("", "w1 "+tcpCheck, "w2"))
	lab.Eventually(t, "w1 is down", func() bool { return s.state("w1") == "down" })
	s.halo.MustReload(t, instance+s.web("", "w1", "w2"))
	s.waitTable("w1 is admitted", map[string]int{"w1": 1, "w2": 1})
	if reason := s.halo.Status(t).VirtualServers["web"].RealServers[s.servers["w1"].address].Reason; !strings.Contains(reason, "no check") {
		t.Errorf("the reason is %q, want it to say that there is no check", reason)
	}
}

// TestReloadDuringStart is R6: a reload while the first probe is under way
// admits nobody on the strength of that probe.
func TestReloadDuringStart(t *testing.T) {
	s := newSite(t, "nat")
	slow := newSlowScript(t)
	s.start(s.web(misc(slow.path), "w1"))
	lab.Eventually(t, "the first probe is under way", slow.running)
	s.halo.MustReload(t, instance+s.web(misc(slow.path)+"\nquorum = 1", "w1 weight = 2"))
	s.halo.MustReload(t, instance+s.web(misc(slow.path), "w1 weight = 3"))
	if got := s.table(); len(got) != 0 {
		t.Errorf("the table is %v while no probe has ended, want it empty", got)
	}
	slow.release()
	s.waitTable("w1 is admitted by its results", map[string]int{"w1": 3})
}

// TestWeightChangeWhileDown is R7: the weight of a quiesced server is changed
// by a reload; when it recovers it has the new one.
func TestWeightChangeWhileDown(t *testing.T) {
	s := newSite(t, "nat")
	head := "on_failure = \"quiesce\"\n" + tcpCheck
	s.start(s.web(head, "w1 weight = 11", "w2"))
	s.waitTable("both serve", map[string]int{"w1": 11, "w2": 1})
	s.servers["w1"].down()
	s.waitTable("w1 is quiesced", map[string]int{"w1": 0, "w2": 1})
	s.halo.MustReload(t, instance+s.web(head, "w1 weight = 9", "w2"))
	s.servers["w1"].up()
	s.waitTable("w1 has its new weight", map[string]int{"w1": 9, "w2": 1})
}

// TestRemovedWhileQuiesced is R8: a quiesced server that a reload deletes is
// gone from the table.
func TestRemovedWhileQuiesced(t *testing.T) {
	s := newSite(t, "nat")
	head := "on_failure = \"quiesce\"\n" + tcpCheck
	s.start(s.web(head, "w1", "w2"))
	s.waitTable("both serve", map[string]int{"w1": 1, "w2": 1})
	s.servers["w1"].down()
	s.waitTable("w1 is quiesced", map[string]int{"w1": 0, "w2": 1})
	s.halo.MustReload(t, instance+s.web(head, "w2"))
	s.waitTable("w1 is gone", map[string]int{"w2": 1})
}

// TestInvalidReload proves that an invalid file changes nothing and says why,
// and that the running configuration goes on.
func TestInvalidReload(t *testing.T) {
	s := newSite(t, "nat")
	text := s.web(tcpCheck, "w1", "w2")
	s.start(text)
	want := map[string]int{"w1": 1, "w2": 1}
	s.waitTable("both serve", want)
	watch := s.watchTable(want)
	r := s.halo.Reload(t, instance+strings.Replace(text, "scheduler", "shceduler", 1))
	watch.stop("over an invalid reload")
	if r.Applied || r.Generation != 1 || len(r.Problems) == 0 || !strings.Contains(r.Problems[0], "scheduler") {
		t.Errorf("reload of a misspelt key: %+v", r)
	}
	if c := s.halo.Status(t).Config; c.LastReloadOK || c.LastReloadNote == "" {
		t.Errorf("status after a refused reload: %+v", c)
	}
	s.halo.MustReload(t, instance+text)
}

// state is what halo says of a server.
func (s *site) state(name string) string {
	s.t.Helper()
	return s.halo.Status(s.t).VirtualServers["web"].RealServers[s.servers[name].address].State
}
