package config

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the messages of testdata/configs anew")

// TestMistakes loads files that each hold one mistake and compares what is
// said of it, word by word, with the file beside it. Where it is said to be is
// also held against the file itself, whose second line tells what stands there.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, dir := range []struct {
		name      string
		severity  Severity
		catalogue *stubCatalogue
		least     int
	}{
		{"bad", SeverityError, builtInCatalogue(t), 35},
		{"settings", SeverityError, testCatalogue(t), 15},
		{"odd", SeverityWarning, builtInCatalogue(t), 10},
	} {
		paths := files(t, dir.name)
		if len(paths) < dir.least {
			t.Errorf("%s: %d files, want at least %d", dir.name, len(paths), dir.least)
		}
		for _, path := range paths {
			t.Run(dir.name+"/"+strings.TrimSuffix(filepath.Base(path), ".toml"), func(t *testing.T) {
				t.Parallel()
				testMistake(t, path, dir.severity, *dir.catalogue)
			})
		}
	}
}

func testMistake(t *testing.T, path string, severity Severity, catalogue stubCatalogue) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, problems := parse(filepath.Base(path), data, &catalogue, testMachine())
	if len(problems) != 1 {
		t.Errorf("%d problems, want 1:\n%s", len(problems), problems)
	}
	if (g == nil) != problems.HasErrors() {
		t.Errorf("generation is nil: %t; there are errors: %t", g == nil, problems.HasErrors())
	}
	for _, p := range problems {
		if p.Severity != severity {
			t.Errorf("severity is %s, want %s", p.Severity, severity)
		}
		pointsAt(t, string(data), p)
	}
	golden(t, strings.TrimSuffix(path, ".toml")+".txt", problems.String())
}

// pointsAt holds the place of a problem against the file's second line,
// "# points at: what". Files that are not text have none.
func pointsAt(t *testing.T, text string, p Problem) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) < 2 {
		t.Fatal("the file has no second line")
	}
	want, ok := strings.CutPrefix(lines[1], "# points at: ")
	if !ok {
		if strings.HasPrefix(p.File, "file-") {
			return
		}
		t.Fatal("the second line does not tell what the problem points at")
	}
	switch {
	case want == "the file":
		if p.Line != 0 {
			t.Errorf("the problem is at line %d, want none", p.Line)
		}
		return
	case p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len([]rune(lines[p.Line-1]))+1:
		t.Fatalf("%d:%d is not in the file", p.Line, p.Column)
	}
	got := string([]rune(lines[p.Line-1])[p.Column-1:])
	if want == "end of line" {
		want = ""
		if got != "" {
			t.Errorf("the problem points at %q, want the end of the line", got)
		}
	}
	if !strings.HasPrefix(got, want) {
		t.Errorf("the problem points at %q, want %q", got, want)
	}
}

// golden compares text with a file, or writes it with -rewrite.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestGoldenFilesHaveSources finds messages whose file is gone.
func TestGoldenFilesHaveSources(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"bad", "settings", "odd"} {
		found, err := filepath.Glob(filepath.Join(configs, dir, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		sources := files(t, dir)
		for _, path := range found {
			if !slices.Contains(sources, strings.TrimSuffix(path, ".txt")+".toml") {
				t.Errorf("%s belongs to no file", path)
			}
		}
	}
}
