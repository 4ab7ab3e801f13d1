package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// scenarios are what users of such programs have suffered from, by number; each
// has a test called TestR<number>..., here or in the package that decides it.
var scenarios = map[int]string{
	2:  "another check for a server that had failed",
	3:  "another check for a server that is healthy",
	17: "the active router's machine stands still for seconds",
	18: "the wall clock jumps",
	19: "a sync group splits and heals",
	20: "somebody else deletes the address",
	21: "the interface is deleted and made again",
	22: "the interface is not there yet",
	23: "the link flaps",
	24: "one of many instances is removed by a reload",
	25: "one virtual router id twice in a file",
	26: "another cluster uses the same virtual router id",
	27: "equal priorities",
	28: "a router that must not preempt returns and is deaf at first",
	29: "a router that waits before it preempts starts alone",
	30: "a unicast peer returns whose hardware address is not known",
	31: "notifications of the kernel are lost",
	32: "the kernel interrupts a dump",
	33: "a backup has the addresses of a crash",
	34: "hundreds of instances fail over while events are taken slowly",
}

// TestScenariosHaveTests finds a scenario whose test was lost.
func TestScenariosHaveTests(t *testing.T) {
	t.Parallel()
	_, self, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(self), "..", "..", "..")
	name := regexp.MustCompile(`^TestR([0-9]+)[A-Z]`)
	found := map[int]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root:
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			if m := name.FindStringSubmatch(f.Name.Name); m != nil {
				number, err := strconv.Atoi(m[1])
				if err != nil {
					return err
				}
				found[number] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for number, words := range scenarios {
		if !found[number] {
			t.Errorf("R%d, %s, has no test", number, words)
		}
	}
}
