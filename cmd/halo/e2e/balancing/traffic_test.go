package balancing

import (
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// forwards are the forwarding methods proven with packets.
var forwards = []string{"nat", "dr"}

// TestTraffic sends requests through the virtual address by nat and by dr:
// weights are obeyed, a dead server leaves the table and returns to it.
func TestTraffic(t *testing.T) {
	for _, forward := range forwards {
		t.Run(forward, func(t *testing.T) {
			s := newSite(t, forward)
			s.start(s.web("check = ["+quick+"]", "w1 weight = 3", "w2 weight = 1"))
			s.waitTable("both serve", map[string]int{"w1": 3, "w2": 1})
			if got := s.answers(8); got["w1"] != 6 || got["w2"] != 2 {
				t.Errorf("of 8 requests %v, want w1 6 and w2 2 by weighted round robin", got)
			}
			s.servers["w1"].down()
			s.waitTable("w1 is removed", map[string]int{"w2": 1})
			if got := s.answers(4); got["w2"] != 4 {
				t.Errorf("of 4 requests %v, want all at w2", got)
			}
			s.servers["w1"].up()
			s.waitTable("w1 is back", map[string]int{"w1": 3, "w2": 1})
			s.answers(4)
		})
	}
}

// TestQuiesce proves on_failure = "quiesce": a failed server keeps its
// established connections at weight 0 and gets no new one.
func TestQuiesce(t *testing.T) {
	for _, forward := range forwards {
		t.Run(forward, func(t *testing.T) {
			s := newSite(t, forward)
			s.start(s.web("on_failure = \"quiesce\"\ncheck = ["+quick+"]", "w1"))
			s.waitTable("w1 serves", map[string]int{"w1": 1})
			talk := s.converse()
			s.servers["w1"].closePort()
			s.waitTable("w1 is quiesced", map[string]int{"w1": 0})
			talk.goesOn("after quiescing")
		})
	}
}

// TestSorryServer proves that the sorry server serves while quorum is lost,
// also when it is one of the real servers (R13).
func TestSorryServer(t *testing.T) {
	s := newSite(t, "nat")
	sorry := s.addServer("sorry")
	s.start(s.web("sorry_server = \""+sorry.address+"\"\ncheck = ["+quick+"]", "w1", "w2"))
	s.waitTable("both serve", map[string]int{"w1": 1, "w2": 1})
	s.servers["w1"].down()
	s.servers["w2"].down()
	s.waitTable("the sorry server serves", map[string]int{"sorry": 1})
	if got := s.answers(2); got["sorry"] != 2 {
		t.Errorf("of 2 requests %v, want both at the sorry server", got)
	}
	s.servers["w2"].up()
	s.waitTable("w2 serves again", map[string]int{"w2": 1})

	t.Log("R13: the sorry server is also a real server")
	s.servers["w1"].up()
	s.halo.MustReload(t, instance+s.web("sorry_server = \""+s.servers["w1"].address+"\"\ncheck = ["+quick+"]", "w1 weight = 5", "w2"))
	s.waitTable("both serve", map[string]int{"w1": 5, "w2": 1})
	s.servers["w1"].down()
	s.servers["w2"].down()
	s.waitTable("w1 as the sorry server", map[string]int{"w1": 1})
	s.servers["w1"].up()
	s.waitTable("w1 at its normal weight", map[string]int{"w1": 5})
	if strings.Contains(s.halo.Output(), "exists") {
		t.Error("the log mentions something that exists already")
	}
}

// TestScriptWeight proves that an unchanged MISC_CHECK script of Keepalived's
// dynamic kind sets the weight of its server.
func TestScriptWeight(t *testing.T) {
	s := newSite(t, "nat")
	script := newScript(t, 2+7)
	s.start(s.web(`check = [{ type = "misc", command = ["`+script.path+`"], dialect = "keepalived-dynamic", interval = "300ms", timeout = "5s", retry_interval = "100ms", rise = 1, fall = 2 }]`, "w1 weight = 3"))
	s.waitTable("weight 7 by exit code 9", map[string]int{"w1": 7})
	script.exits(2 + 4)
	s.waitTable("weight 4 by exit code 6", map[string]int{"w1": 4})
	script.exits(0)
	s.waitTable("exit code 0 is the configured weight", map[string]int{"w1": 3})
	script.exits(1)
	s.waitTable("exit code 1 fails the server", map[string]int{})
	script.exits(2 + 5)
	s.waitTable("weight 5 by exit code 7", map[string]int{"w1": 5})
}

// TestKillAndAdopt is R10: halo is killed with SIGKILL and started again; its
// services are adopted, an established connection lives on, somebody else's
// service is untouched, and nothing is reported as existing already.
func TestKillAndAdopt(t *testing.T) {
	for _, forward := range forwards {
		t.Run(forward, func(t *testing.T) {
			s := newSite(t, forward)
			s.foreign()
			s.start(s.web("check = ["+quick+"]", "w1", "w2"))
			both := map[string]int{"w1": 1, "w2": 1}
			s.waitTable("both serve", both)
			talk := s.converse()
			s.halo.Kill()
			talk.goesOn("while halo is dead")
			watch := s.watchTable(both)
			s.halo.Start(t)
			lab.Eventually(t, "both are checked again", func() bool { return s.healthy() == 2 })
			watch.stop("while halo adopted it")
			talk.goesOn("after the restart")
			if strings.Contains(strings.ToLower(s.halo.Output()), "exists") {
				t.Error("the log mentions something that exists already")
			}
			s.foreignIsThere()

			if err := s.halo.Terminate(); err != nil {
				t.Errorf("halo ended with %v after SIGTERM", err)
			}
			if left := s.table(); left != nil {
				t.Errorf("after a stop the service is still there: %v", left)
			}
			s.foreignIsThere()
		})
	}
}

// TestFlushIsRepaired is R11: `ipvsadm -C` by hand is repaired and reported.
func TestFlushIsRepaired(t *testing.T) {
	s := newSite(t, "nat")
	s.start("[ipvs]\nresync_interval = \"1s\"\n\n" + s.web("check = ["+quick+"]", "w1", "w2 weight = 2"))
	want := map[string]int{"w1": 1, "w2": 2}
	s.waitTable("both serve", want)
	if out, err := s.lb.Output("ipvsadm", "-C"); err != nil {
		t.Fatalf("ipvsadm -C: %v\n%s", err, out)
	}
	s.waitTable("everything is back", want)
	s.answers(2)
	lab.Eventually(t, "the drift is counted", func() bool { return s.halo.Status(t).IPVS.Drifts > 0 })
	if !strings.Contains(s.halo.Output(), "drift") {
		t.Error("the log does not mention the drift")
	}
}
