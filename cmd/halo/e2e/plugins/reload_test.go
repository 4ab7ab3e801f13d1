package plugins

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// TestReloadsInARow is R42: of five reloads without a pause, the last of them
// of an invalid file, the fourth runs and the fifth is reported as refused.
func TestReloadsInARow(t *testing.T) {
	t.Parallel()
	s := newSite(t, tcp)
	s.serveWeb()
	s.start(web())
	before := s.judged()
	first := s.plugin(tcp)

	for _, name := range []string{"second", "third", "fourth", "fifth"} {
		s.halo.MustReload(t, instance(150)+web()+service(name, 81, `"tcp"`, good))
	}
	broken := instance(150) + strings.Replace(web(), "check =", "chekc =", 1)
	report := s.halo.Reload(t, broken)
	if report.Applied || report.Generation != 5 || len(report.Problems) == 0 {
		t.Errorf("the reload of an invalid file: %+v", report)
	} else {
		contains(t, "the report", report.Problems[0], s.halo.ConfigFile(), "chekc", "check")
	}
	status := s.halo.Status(t)
	if _, ok := status.VirtualServers["fifth"]; !ok || len(status.VirtualServers) != 2 || status.Generation != 5 {
		t.Errorf("generation %d runs with %d services, want 5 with web and fifth", status.Generation, len(status.VirtualServers))
	}
	if c := status.Config; c.LastReloadOK || !strings.Contains(c.LastReloadNote, "chekc") {
		t.Errorf("the status says of the last reload: %+v", c)
	}

	t.Log("the same by signals, faster than anybody can reload")
	for _, name := range []string{"second", "third", "fourth", "fifth"} {
		s.halo.Write(t, instance(150)+web()+service(name, 81, `"tcp"`, good))
		s.halo.Signal(unix.SIGHUP)
	}
	s.halo.Write(t, broken)
	s.halo.Signal(unix.SIGHUP)
	refused := status.Config.LastReload
	lab.Eventually(t, "the last reload is refused", func() bool {
		status = s.halo.Status(t)
		return status.Config.LastReload.After(refused) && !status.Config.LastReloadOK
	})
	if n := len(status.VirtualServers); n != 2 {
		t.Errorf("%d services run, want web and another", n)
	}
	s.halo.MustReload(t, instance(150)+web())

	sameVerdicts(t, before, s.judged())
	if p := s.plugin(tcp); p.PID != first.PID || p.Restarts != 0 {
		t.Errorf("the plugin has pid %d after %d restarts, want %d after none", p.PID, p.Restarts, first.PID)
	}
	s.undisturbed()
}
