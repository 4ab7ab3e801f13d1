package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is the top of the repository, as seen from this package.
const root = "../.."

// repository parses the tree once for all tests.
var repository = sync.OnceValues(func() (*Tree, error) { return Load(os.DirFS(root)) })

func TestRepository(t *testing.T) {
	tree, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	tooLong, long := tree.Sizes()
	for _, line := range long {
		t.Log("long:", line)
	}
	rules := map[string][]string{
		"imports":          tree.Imports(),
		"purity":           tree.Purity(),
		"interfaces":       tree.Interfaces(),
		"file sizes":       tooLong,
		"package comments": tree.PackageComments(),
		"package names":    tree.PackageNames(),
		"leftovers":        tree.Leftovers(),
		"plugin pages":     tree.PluginPages(),
	}
	for name, findings := range rules {
		t.Run(name, func(t *testing.T) {
			for _, finding := range findings {
				t.Error(finding)
			}
		})
	}
}

// TestTableNamesNothingTwice guards the table itself: a row below one that
// matches the same packages would never be used.
func TestTableNamesNothingTwice(t *testing.T) {
	rows := table()
	seen := make([]string, 0, len(rows))
	for _, row := range rows {
		if matchesAny(seen, strings.TrimSuffix(row.packages, "/...")) {
			t.Errorf("row %s is behind one that matches all of it", row.packages)
		}
		seen = append(seen, row.packages)
	}
}

// TestSDKDependencies pins what a plugin author's module gets to download. A
// module that joins or leaves the list is a decision, made by editing it.
func TestSDKDependencies(t *testing.T) {
	got := modulesBehind(t, "./sdk/...")
	content, err := os.ReadFile(filepath.Join("testdata", "sdk-dependencies.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(content)), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "#")
	})
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("the modules behind sdk/... are not those of testdata/sdk-dependencies.txt (-listed +found):\n%s", difference)
	}
}

// TestDaemonLinksNoPlugin asks the go command, beside the import table, what
// ends up in the daemon's binary.
func TestDaemonLinksNoPlugin(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "cmd", "halo", "main.go")); err != nil {
		t.Skip("there is no daemon")
	}
	packages := goList(t, "-deps", "./cmd/halo")
	if !slices.Contains(packages, module+"/cmd/halo") {
		t.Fatalf("go list names %d packages, and not cmd/halo", len(packages))
	}
	for _, name := range packages {
		for _, forbidden := range []string{"/plugins", "/core/kernel/kerneltest", "/core/scenario", "/contrib"} {
			if strings.HasPrefix(name, module+forbidden) {
				t.Errorf("cmd/halo links %s", name)
			}
		}
	}
}

// modulesBehind lists the modules whose packages a pattern's packages need,
// without those of tests.
func modulesBehind(t *testing.T, pattern string) []string {
	t.Helper()
	modules := goList(t, "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pattern)
	slices.Sort(modules)
	modules = slices.Compact(modules)
	return slices.DeleteFunc(modules, func(name string) bool { return name == module })
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not here")
	}
	command := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	command.Dir = root
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	return strings.Fields(string(output))
}
