package ledger_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/vrrp/ledger"
)

var rewrite = flag.Bool("rewrite", false, "write core/vrrp/RFC.md")

// core is the directory of which all tests are looked at, as seen from here.
const core = "../.."

// The ledger of this tree: nothing is neither proven nor excused, and the page
// says what is so.
func TestLedger(t *testing.T) {
	annotations, problems, err := ledger.Scan(os.DirFS(core))
	if err != nil {
		t.Fatal(err)
	}
	if len(annotations) == 0 {
		t.Fatal("there are no annotations: this looks in the wrong place")
	}
	for _, problem := range append(problems, ledger.Check(ledger.Documents(), annotations)...) {
		t.Error(problem)
	}
	want := ledger.Page(ledger.Documents(), annotations)
	file := filepath.Join(core, "vrrp", "RFC.md")
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(have), "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("RFC.md is not what the tables and annotations make (-file +now), go test -rewrite writes it:\n%s", diff)
	}
}
