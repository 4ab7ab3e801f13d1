package ledger_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/vrrp/ledger"
)

// file is a tree of one file. Its annotations are written with an @, so that those
// of this file are its own.
func file(name, content string) fstest.MapFS {
	return fstest.MapFS{name: {Data: []byte("package a\n" + strings.ReplaceAll(content, "@", "rfc:"))}}
}

func scan(t *testing.T, tree fstest.MapFS) ([]ledger.Annotation, []string) {
	t.Helper()
	found, problems, err := ledger.Scan(tree)
	if err != nil {
		t.Fatal(err)
	}
	return found, problems
}

func TestScan(t *testing.T) {
	found, problems := scan(t, file("vrrp/a_test.go", `
// It does what it says.
//
//@9568/7.1-1 positive negative
//@9568/8.4.2.1.1-12 negative
func TestWhole(t *testing.T) {
	for _, tt := range []row{
		//@9568/7.1-2 positive
		{"a row", 1},
		//@9568/7.1-3 positive
		{vrrp.Active, true, "a further row", "and more"},
		//@9568/7.1-4 negative
		{name: "a \"named\" row"},
	} {
	}
	//@9568/7.1-5 positive
	t.Run("a part", func(*testing.T) {})
}

//@5880/9-1 positive
func FuzzIt(f *testing.F) {}
`))
	want := []ledger.Annotation{
		{ID: "9568/7.1-1", Positive: true, Negative: true, Test: "vrrp.TestWhole", At: "vrrp/a_test.go:5"},
		{ID: "9568/8.4.2.1.1-12", Negative: true, Test: "vrrp.TestWhole", At: "vrrp/a_test.go:6"},
		{ID: "9568/7.1-2", Positive: true, Test: "vrrp.TestWhole (a row)", At: "vrrp/a_test.go:9"},
		{ID: "9568/7.1-3", Positive: true, Test: "vrrp.TestWhole (active, true: a further row)", At: "vrrp/a_test.go:11"},
		{ID: "9568/7.1-4", Negative: true, Test: `vrrp.TestWhole (a \"named\" row)`, At: "vrrp/a_test.go:13"},
		{ID: "9568/7.1-5", Positive: true, Test: "vrrp.TestWhole (a part)", At: "vrrp/a_test.go:17"},
		{ID: "5880/9-1", Positive: true, Test: "vrrp.FuzzIt", At: "vrrp/a_test.go:21"},
	}
	if diff := cmp.Diff(want, found); diff != "" || len(problems) > 0 {
		t.Errorf("(-want +found):\n%s\n%v", diff, problems)
	}
}

// What looks like an annotation and is none is never passed over.
func TestScanComplains(t *testing.T) {
	const of = "is not of the form"
	for name, tt := range map[string]struct{ file, content, want string }{
		"a blank":              {"a_test.go", "// @9568/7.1-1 positive\nfunc TestA(t *testing.T) {}", of},
		"no polarity":          {"a_test.go", "//@9568/7.1-1\nfunc TestA(t *testing.T) {}", of},
		"another polarity":     {"a_test.go", "//@9568/7.1-1 neutral\nfunc TestA(t *testing.T) {}", of},
		"no number":            {"a_test.go", "//@9568/7.1 positive\nfunc TestA(t *testing.T) {}", of},
		"no RFC":               {"a_test.go", "//@7.1-1 positive\nfunc TestA(t *testing.T) {}", of},
		"something behind":     {"a_test.go", "//@9568/7.1-1 positive, mostly\nfunc TestA(t *testing.T) {}", of},
		"twice":                {"a_test.go", "//@9568/7.1-1 positive positive\nfunc TestA(t *testing.T) {}", "twice"},
		"an empty line":        {"a_test.go", "//@9568/7.1-1 positive\n\nfunc TestA(t *testing.T) {}", "directly above a test"},
		"no test":              {"a_test.go", "//@9568/7.1-1 positive\nfunc helper() {}", "directly above a test"},
		"a method":             {"a_test.go", "//@9568/7.1-1 positive\nfunc (x) TestA() {}", "directly above a test"},
		"a table outside":      {"a_test.go", "var rows = []string{\n//@9568/7.1-1 positive\n\"a row\",\n}", "directly above a test"},
		"a row without a name": {"a_test.go", "func TestA(t *testing.T) {\n//@9568/7.1-1 positive\nx()\n}", "no row"},
		"not in a test file":   {"a.go", "//@9568/7.1-1 positive\nfunc TestA(t *testing.T) {}", "not in a test file"},
	} {
		found, problems := scan(t, file(tt.file, tt.content))
		want := strings.ReplaceAll(tt.want, "no row", "above a row that has a name")
		if len(found) != 0 || len(problems) != 1 || !strings.Contains(problems[0], want) {
			t.Errorf("%s: found %v, complains %q, want %q", name, found, problems, want)
		}
	}
}

func TestScanReadsGoFilesOnly(t *testing.T) {
	const annotated = "//@9568/7.1-1 positive\nfunc TestA(t *testing.T) {}"
	for name, want := range map[string]int{"a_test.go": 1, "x/y/a_test.go": 1, "testdata/a_test.go": 0, ".x/a_test.go": 0, "a_test.txt": 0} {
		if found, problems := scan(t, file(name, annotated)); len(found) != want || len(problems) != 0 {
			t.Errorf("%s: %v, %v", name, found, problems)
		}
	}
	if _, _, err := ledger.Scan(file("a_test.go", "//@9568/7.1-1 positive\nfunc {")); err == nil {
		t.Error("a file that is not Go is read")
	}
}
