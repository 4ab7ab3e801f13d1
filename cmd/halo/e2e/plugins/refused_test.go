package plugins

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// judge runs `halo check` on a file with the plugin directory and the text,
// and asserts that it fails.
func judge(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(runDir(t), "halo.toml")
	text = fmt.Sprintf("[global]\nplugin_dirs = [%q]\n\n", dir) + text
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := lab.New(t).Host("judge")
	out, err := h.Output(filepath.Join(lab.Bin(t), "halo"), "check", file)
	if err == nil {
		t.Errorf("halo check accepts it:\n%s", out)
	}
	return out
}

// TestNewerPlugin is R38: a plugin that speaks only a newer protocol is refused
// with a message that names both sides' versions and which one to upgrade.
func TestNewerPlugin(t *testing.T) {
	t.Parallel()
	s := newSite(t, tcp, stubPrefix+"newer")
	want := []string{stubPrefix + "newer", "protocol 99", "this halo speaks protocol 1", "upgrade halo"}
	out := judge(t, s.dir, instance(150)+service("web", 80, stubCheck("newer"), good))
	contains(t, "halo check", out, append(want, "stub_newer")...)

	t.Log("nobody needs it, so nothing else suffers")
	s.serveWeb()
	s.start(web())
	s.judged()
	contains(t, "halo plugin list", s.list(), append(want, "refused")...)
	s.undisturbed()
}

// loose makes a plugin directory with a copy of halo-plugins as the tcp plugin,
// a file whose permissions a test can spoil.
func loose(t *testing.T) (dir, file string) {
	t.Helper()
	dir = runDir(t)
	file = filepath.Join(dir, tcp)
	from, err := os.Open(filepath.Join(lab.Bin(t), "halo-plugins"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestWritablePlugin proves that a plugin which others can write, or whose
// directory they can, is not run; what is wrong and how to put it right is
// said, and once it is right the plugin runs.
func TestWritablePlugin(t *testing.T) {
	t.Parallel()
	dir, file := loose(t)
	s := newSite(t)
	s.dir = dir
	s.options = []lab.Option{lab.Global(fmt.Sprintf("plugin_dirs = [%q]", dir))}
	text := instance(150) + web()

	chmod(t, file, 0o757)
	contains(t, "halo check", judge(t, dir, text), "refuse plugin "+file, "is writable by others", "-rwxr-xrwx", "chmod go-w "+file)
	chmod(t, file, 0o755)
	chmod(t, dir, 0o775)
	contains(t, "halo check", judge(t, dir, text), "refuse plugin "+file, dir+" is writable by its group", "drwxrwxr-x", "chmod go-w "+dir)
	chmod(t, dir, 0o755)

	t.Log("it is spoilt while it runs")
	s.serveWeb()
	s.start(web())
	before := s.judged()
	chmod(t, file, 0o777)
	signal(t, s.plugin(tcp).PID, unix.SIGKILL)
	s.waitPlugin(tcp, "refused")
	list := s.list()
	contains(t, "halo plugin list", list, "refuse plugin "+file, "is writable by its group and by others", "-rwxrwxrwx", "chmod go-w "+file)
	nothingMoved(t, before, s.halo.Status(t))
	chmod(t, file, 0o755)
	sameVerdicts(t, before, s.judged())
	s.undisturbed()
}
